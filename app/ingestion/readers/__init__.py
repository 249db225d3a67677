"""What each format other than PDF becomes: blocks of text in reading order; runs confined."""
