"""Who is calling: API keys, tenants and scopes."""
