"""`camera-agent`, or `python -m agent_core`."""

import sys

from agent_core.cli import main as command_line

__all__ = ("main",)


def main() -> int:
    """Run the command line on this process's arguments; returns the exit code."""
    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
