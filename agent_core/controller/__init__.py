"""Controller of the agent: the one door through which `api` and `web` reach the services, and its answers."""

from agent_core.controller.controller import Controller, Services
from agent_core.controller.models import (
    CameraDetails,
    CameraView,
    Readiness,
    ServerInfo,
    StatusReport,
    SystemStatus,
)

__all__ = (
    "CameraDetails",
    "CameraView",
    "Controller",
    "Readiness",
    "ServerInfo",
    "Services",
    "StatusReport",
    "SystemStatus",
)
