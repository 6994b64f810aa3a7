"""Child processes for plugins. A process ends with its scope, and with the agent even if the agent is killed.

Plugins import these names from here because they may not import `agent_core.base`.
"""

from agent_core.base.processes import Finished, Tail, child, handed_on, run
from agent_core.base.python_module import python_module

__all__ = ("Finished", "Tail", "child", "handed_on", "python_module", "run")
