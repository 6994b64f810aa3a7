"""Small files of a plugin's own in the state folder: written whole or not at all, and read without surprises."""

from agent_core.base.files import explain_os_error, write_atomic
from agent_core.base.small_files import UnsafeFile, read_small

__all__ = ("UnsafeFile", "explain_os_error", "read_small", "write_atomic")
