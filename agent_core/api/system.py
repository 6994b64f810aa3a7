"""Methods about the agent as a whole, and the wire form of its state."""

import platform
from dataclasses import dataclass
from datetime import datetime

from agent_core import __version__
from agent_core.api.schema import system as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.base.models import PictureFormat, PluginEvent
from agent_core.controller import Controller
from agent_core.health.models import SystemEvent
from agent_core.rpc.errors import code_of
from agent_core.rpc.table import Caller, Method

__all__ = ("plugin_event_form", "system_event_form", "system_methods")


def system_event_form(event: SystemEvent, at: datetime) -> wire.SystemEventForm:
    """Return the parameters of a notification about the agent as a whole."""
    return wire.SystemEventForm(
        status=event.status, components=dict(event.components), reason=event.reason or None, timestamp=at
    )


def plugin_event_form(event: PluginEvent, at: datetime) -> wire.PluginEventForm:
    """Return the parameters of a notification about a plugin."""
    return wire.PluginEventForm(plugin=event.plugin, reason=event.reason, timestamp=at)


@dataclass(frozen=True, slots=True)
class _Handlers:
    controller: Controller

    async def get_system_status(self, params: NoParams, caller: Caller) -> wire.SystemStatusForm:
        status = self.controller.system_status()
        return wire.SystemStatusForm(
            status=status.readiness.value,
            message=status.message,
            available_cameras=[camera.id for camera in status.available],
            discovery_active=status.discovery_active,
            problems=[
                wire.ProblemForm(
                    code=code_of(problem),
                    reason=problem.reason,
                    details=problem.details,
                    suggestion=problem.suggestion,
                )
                for problem in status.problems
            ],
        )

    async def get_status(self, params: NoParams, caller: Caller) -> wire.StatusForm:
        report = self.controller.status()
        return wire.StatusForm(
            status=report.health.status.value,
            uptime=round(report.uptime_s, 3),
            version=__version__,
            components=dict(report.health.components),
            checks=[
                wire.CheckForm(name=each.name, status=each.status.value, detail=each.detail, since=each.since)
                for each in report.health.checks
            ],
            timestamp=self.controller.now(),
        )

    async def get_server_info(self, params: NoParams, caller: Caller) -> wire.ServerInfo:
        info = self.controller.server_info()
        return wire.ServerInfo(
            name="camera-agent",
            version=__version__,
            build_date="",
            go_version="",
            python_version=platform.python_version(),
            architecture=platform.machine(),
            capabilities=["snapshots", "events"] if info.has_snapshots else ["events"],
            supported_formats=[form.value for form in PictureFormat],
            max_cameras=0,
            plugins=[
                wire.PluginForm(
                    name=each.name,
                    version=each.version,
                    status=each.state.value,
                    reason=each.reason,
                    details=each.details,
                )
                for each in info.plugins
            ],
        )


def system_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller)
    return [
        Method(
            "get_system_status",
            Role.VIEWER,
            "Return the agent's progress at start and its problems.",
            NoParams,
            wire.SystemStatusForm,
            do.get_system_status,
            prompt=True,
        ),
        Method(
            "get_server_info",
            Role.VIEWER,
            "Return the version, capabilities and plugins of the agent.",
            NoParams,
            wire.ServerInfo,
            do.get_server_info,
            prompt=True,
        ),
        Method(
            "get_status",
            Role.ADMIN,
            "Return the health of the agent and its components, from memory.",
            NoParams,
            wire.StatusForm,
            do.get_status,
        ),
    ]
