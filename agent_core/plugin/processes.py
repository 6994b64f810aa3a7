"""Child processes for plugins: `agent_core.processes`, which ends them with their scope and with the agent."""

from agent_core.processes import Finished, Tail, child, run

__all__ = ("Finished", "Tail", "child", "run")
