"""Overlay of plugins that pip installs: a folder outside the agent's own, so that both survive each other's changes."""
