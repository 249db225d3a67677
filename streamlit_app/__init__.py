"""The demo: what a person sees of Docent; it speaks HTTP only and never imports ``app``."""
