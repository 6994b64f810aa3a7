"""Command line. Each command imports slow modules itself, when it runs."""

from agent_core.cli.main import main

__all__ = ("main",)
