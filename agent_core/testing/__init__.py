"""Test kit for authors of plugins and clients, with which the agent also tests itself; needs pytest."""

from agent_core.base.clock import SystemClock
from agent_core.testing.agents import WHOLE_CONTRACT, RunningAgent, document_of, running_agent
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.context import FakeAgent, FakeCameras, FakeEvents, FakeRedirects, RecordingReport
from agent_core.testing.contracts import (
    CameraSourceContract,
    TierContract,
    as_camera,
    children,
    responsive,
)
from agent_core.testing.controls_contract import ControlPanelContract, PanelUnderTest
from agent_core.testing.sessions import FakeCall, FakeSessions
from agent_core.testing.sessions_contract import ClientSessionsContract, SessionsUnderTest
from agent_core.testing.stills_contract import RecordingStillsContract
from agent_core.testing.stream_contract import CameraStreamsContract
from agent_core.testing.streams import FakeStream, FakeStreams
from agent_core.testing.web_contract import WebRoutesContract

__all__ = (
    "WHOLE_CONTRACT",
    "CameraSourceContract",
    "CameraStreamsContract",
    "ClientSessionsContract",
    "ControlPanelContract",
    "FakeAgent",
    "FakeCall",
    "FakeCameras",
    "FakeEvents",
    "FakeRedirects",
    "FakeSessions",
    "FakeStream",
    "FakeStreams",
    "PanelUnderTest",
    "RecordingReport",
    "RecordingStillsContract",
    "RunningAgent",
    "SessionsUnderTest",
    "SimulatedClock",
    "SystemClock",
    "TierContract",
    "WebRoutesContract",
    "as_camera",
    "children",
    "document_of",
    "responsive",
    "running_agent",
)
