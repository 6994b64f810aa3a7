"""MediaMTX as a child process: configured by the agent, and ended with it."""

from agent_core.mediamtx.managed.server import CONFIG_FILE, FOLDER, ManagedServer

__all__ = ("CONFIG_FILE", "FOLDER", "ManagedServer")
