"""The core of the camera agent. Plugins use `agent_core.plugin` and `agent_core.testing`; the rest may change."""

__version__ = "0.1.0"
