"""Composition root: connects all parts of the agent and owns the tasks that run them."""

from agent_core.app.agent import Agent, Running
from agent_core.app.process import main

__all__ = ("Agent", "Running", "main")
