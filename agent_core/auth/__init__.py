"""Credentials: the secret, tokens, API keys, roles, and how often they may be tried."""
