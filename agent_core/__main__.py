"""`camera-agent`, or `python -m agent_core`."""

import os
import sys

# Before its first model, pydantic looks for plugins of its own in the metadata of every installed distribution: work at
# each start, and a way for a foreign package to change what the agent accepts.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from agent_core.cli import main as command_line

__all__ = ("main",)


def main() -> int:
    """Run the command line on this process's arguments; returns the exit code."""
    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
