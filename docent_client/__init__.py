"""A typed Python client of the HTTP API, and the command ``docent``; the app is never imported."""
