"""Child processes for plugins: they end with their scope, and with the agent even if it is killed."""

from agent_core.base.processes import Finished, Tail, child, handed_on, run

__all__ = ("Finished", "Tail", "child", "handed_on", "run")
