"""The composition root: the only place that wires, and the owner of everything that runs."""

from agent_core.app.agent import Agent, Running
from agent_core.app.process import main

__all__ = ("Agent", "Running", "main")
