"""Methods about the agent as a whole, and the wire form of its state."""

import platform
from dataclasses import dataclass

from agent_core import __version__
from agent_core.api.examples import system as examples
from agent_core.api.schema import system as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.base.events import Stamp
from agent_core.base.models import PictureFormat, PluginEvent
from agent_core.controller import Controller, ServerInfo
from agent_core.health.models import SystemEvent
from agent_core.recordings.models import RecordingFormat
from agent_core.rpc.errors import code_of
from agent_core.rpc.table import Caller, Method

__all__ = ("plugin_event_form", "system_event_form", "system_methods")

#: Cameras of one agent: Linux numbers at most 256 video devices (VIDEO_NUM_DEVICES in drivers/media/v4l2-core).
MAX_CAMERAS = 256


def system_event_form(event: SystemEvent, stamp: Stamp) -> wire.SystemEventForm:
    """Return the parameters of a notification about the agent as a whole."""
    return wire.SystemEventForm(
        status=event.status,
        components=dict(event.components),
        reason=event.reason or None,
        timestamp=stamp.at,
        sequence=stamp.sequence,
    )


def plugin_event_form(event: PluginEvent, stamp: Stamp) -> wire.PluginEventForm:
    """Return the parameters of a notification about a plugin."""
    return wire.PluginEventForm(
        plugin=event.plugin, reason=event.reason, timestamp=stamp.at, sequence=stamp.sequence
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about the agent itself."""

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
            safe_mode=report.safe_mode,
            timestamp=self.controller.now(),
        )

    async def get_server_info(self, params: NoParams, caller: Caller) -> wire.ServerInfo:
        info = await self.controller.server_info()
        return wire.ServerInfo(
            name="camera-agent",
            version=__version__,
            contract_version=wire.CONTRACT_VERSION,
            build_date="",
            go_version="",
            python_version=platform.python_version(),
            architecture=platform.machine(),
            capabilities=_capabilities(info),
            supported_formats=_formats(info),
            max_cameras=MAX_CAMERAS,
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
            safe_mode=info.safe_mode,
        )


def _capabilities(info: ServerInfo) -> list[wire.Capability]:
    """Return what clients can use of this agent, as it is configured."""
    offered: dict[wire.Capability, bool] = {
        "snapshots": info.has_snapshots,
        "recording": info.has_recordings,
        "streaming": info.has_streams,
        "events": True,
    }
    return [name for name, is_offered in offered.items() if is_offered]


def _formats(info: ServerInfo) -> list[str]:
    """Return the formats of pictures and recordings, and the protocols of streams."""
    pictures = [form.value for form in PictureFormat] if info.has_snapshots else []
    recordings = [form.value for form in RecordingFormat] if info.has_recordings else []
    return [*pictures, *recordings, *info.protocols]


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
            example=examples.get_system_status,
        ),
        Method(
            "get_server_info",
            Role.VIEWER,
            "Return the version, capabilities and plugins of the agent.",
            NoParams,
            wire.ServerInfo,
            do.get_server_info,
            example=examples.get_server_info,
        ),
        Method(
            "get_status",
            Role.ADMIN,
            "Return the health of the agent and its components, from memory.",
            NoParams,
            wire.StatusForm,
            do.get_status,
            example=examples.get_status,
        ),
    ]
