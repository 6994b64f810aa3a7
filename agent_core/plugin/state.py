"""Small files of a plugin's own in the state folder: written whole or not at all, and read without surprises."""

from agent_core.base.errors import LaterState
from agent_core.base.files import explain_os_error, write_atomic
from agent_core.base.small_files import UnsafeFile, read_small
from agent_core.base.state_versions import refuse_later

__all__ = ("LaterState", "UnsafeFile", "explain_os_error", "read_small", "refuse_later", "write_atomic")
