"""The test kit for plugin and client authors; the agent tests itself with it. Needs pytest."""

from agent_core.base.clock import SystemClock
from agent_core.testing.agents import RunningAgent, running_agent
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.contracts import (
    CameraSourceContract,
    RecordingReport,
    TierContract,
    as_camera,
    children,
    responsive,
)

__all__ = (
    "CameraSourceContract",
    "RecordingReport",
    "RunningAgent",
    "SimulatedClock",
    "SystemClock",
    "TierContract",
    "as_camera",
    "children",
    "responsive",
    "running_agent",
)
