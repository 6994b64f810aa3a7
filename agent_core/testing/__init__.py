"""Test kit for authors of plugins and clients, with which the agent also tests itself; needs pytest."""

from agent_core.base.clock import SystemClock
from agent_core.testing.agents import RunningAgent, running_agent
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.context import FakeAgent, FakeCameras, FakeEvents, RecordingReport
from agent_core.testing.contracts import (
    CameraSourceContract,
    TierContract,
    as_camera,
    children,
    responsive,
)

__all__ = (
    "CameraSourceContract",
    "FakeAgent",
    "FakeCameras",
    "FakeEvents",
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
