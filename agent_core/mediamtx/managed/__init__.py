"""A MediaMTX that the agent runs: configured by us, reachable from this host, gone with the agent."""

from agent_core.mediamtx.managed.server import CONFIG_FILE, FOLDER, ManagedServer

__all__ = ("CONFIG_FILE", "FOLDER", "ManagedServer")
