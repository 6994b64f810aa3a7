"""`camera-agent`, or `python -m agent_core`."""

import os
import sys

# Before its first model, pydantic looks for plugins of its own in the metadata of every installed distribution: work at
# each start, and a way for a foreign package to change what the agent accepts.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from agent_core.cli import main as command_line
from agent_core.plugin_host.overlay.place import agents_place, use_overlay

__all__ = ("main",)


def main() -> int:
    """Run the command line on this process's arguments; returns the exit code."""
    if "--safe-mode" not in sys.argv[1:]:
        use_overlay(agents_place(), sys.path)
    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
