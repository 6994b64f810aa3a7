"""Credentials: secret, tokens, API keys, roles, download links and rate limits."""
