"""The authorization server: clients, consent, codes and the token endpoint (OAuth 2.1)."""
