"""Controller of the agent: the one door through which `api` and `web` reach the services, and its answers."""

from agent_core.controller.controller import Controller, Services
from agent_core.controller.models import (
    AgentMetrics,
    CameraDetails,
    CameraMetrics,
    CameraView,
    ChangedCameraControls,
    Readiness,
    Reloaded,
    ServerInfo,
    StatusReport,
    SystemStatus,
)

__all__ = (
    "AgentMetrics",
    "CameraDetails",
    "CameraMetrics",
    "CameraView",
    "ChangedCameraControls",
    "Controller",
    "Readiness",
    "Reloaded",
    "ServerInfo",
    "Services",
    "StatusReport",
    "SystemStatus",
)
