"""Failures of commands, each with an exit code of its own; for the command line and for commands of plugins."""

from agent_core.base.errors import AgentError

__all__ = ("CommandFailed", "Unreachable", "UsageFailed")


class UsageFailed(AgentError):
    """Wrong use of the command line; exit code 2."""

    default_reason = "wrong_usage"
    default_suggestion = "See `camera-agent --help`."


class CommandFailed(AgentError):
    """Failure of the command on this machine, independent of the agent; exit code 1."""

    default_reason = "command_failed"


class Unreachable(AgentError):
    """Missing peer of the command: not there, or the connection to it was lost; exit code 3."""

    default_reason = "unreachable"
    default_suggestion = "Check that it runs, and that address and port are correct."
