"""The command line. What is slow to import is imported by the command that needs it."""

from agent_core.cli.main import main

__all__ = ("main",)
