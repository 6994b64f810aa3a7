"""The core's methods: name, role, types, and the line that asks the controller."""

import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent_core import __version__
from agent_core.api.cameras import CameraListText
from agent_core.api.placeholders import _EXTERNAL, _LATER, _later, contract_placeholder
from agent_core.api.schema import params as wire
from agent_core.api.schema import system as status
from agent_core.api.schema.cameras import CameraCapabilities, CameraList, CameraStatusForm
from agent_core.api.schema.snapshots import FileList, SnapshotForm, SnapshotInfo, TakeSnapshotParams
from agent_core.api.views import Forms
from agent_core.auth.roles import Role
from agent_core.base.errors import InvalidState
from agent_core.base.models import PictureFormat
from agent_core.controller import Controller
from agent_core.rpc.errors import code_of
from agent_core.rpc.table import Caller, Method, Prepared
from agent_core.snapshots.models import SnapshotRequest

__all__ = ("CONTRACT_METHODS", "core_methods")

Handler = Callable[[Any, Caller], Awaitable[object]]

#: Those whose handlers await nothing.
_PROMPT = frozenset(
    (
        "get_camera_list",
        "get_camera_capabilities",
        "get_system_status",
        "get_server_info",
    )
)


#: Methods that the contract names and a plugin implements, with the plugin's name.
CONTRACT_METHODS: Mapping[str, str] = MappingProxyType(
    {name: "external_discovery" for name, _, _ in _EXTERNAL}
)


@dataclass(frozen=True, slots=True)
class _Handlers:
    controller: Controller
    forms: Forms
    camera_list: CameraListText

    async def get_camera_list(self, params: wire.NoParams, caller: Caller) -> Prepared[CameraList]:
        return self.camera_list.at(self.controller.clock.now(), self.controller.cameras.list())

    async def get_camera_status(self, params: wire.DeviceParams, caller: Caller) -> CameraStatusForm:
        camera = self.controller.cameras.get(params.device)
        seen = await self.controller.stream_path(camera.id)
        return self.forms.camera_status(camera, seen.path, seen.age_s)

    async def get_camera_capabilities(self, params: wire.DeviceParams, caller: Caller) -> CameraCapabilities:
        return self.forms.capabilities(self.controller.cameras.get(params.device))

    async def take_snapshot(self, params: TakeSnapshotParams, caller: Caller) -> SnapshotForm:
        request = SnapshotRequest(
            name=params.filename,
            format=params.format,
            quality=params.quality,
            width=params.width,
            height=params.height,
            max_age_ms=params.max_age_ms,
            deadline_ms=params.deadline_ms,
            user=caller.principal.user_id if caller.principal else "",
        )
        return self.forms.snapshot(await self.controller.take_snapshot(params.device, request))

    async def list_snapshots(self, params: wire.ListParams, caller: Caller) -> FileList:
        camera = self.controller.cameras.get(params.device).id if params.device else None
        page = await self.controller.store.page(camera, offset=params.offset, limit=params.limit)
        return FileList(
            files=[self.forms.file(stored) for stored in page.items],
            total=page.total,
            limit=params.limit,
            offset=params.offset,
        )

    async def get_snapshot_info(self, params: wire.NameParams, caller: Caller) -> SnapshotInfo:
        stored = await self.controller.store.find(params.filename)
        return self.forms.snapshot_info(stored, await self.controller.store.pixels(stored))

    async def get_system_status(self, params: wire.NoParams, caller: Caller) -> status.SystemStatusForm:
        told = self.controller.system_status()
        return status.SystemStatusForm(
            status=told.readiness.value,
            message=told.message,
            available_cameras=[camera.id for camera in told.available],
            discovery_active=told.discovery_active,
            problems=[
                status.ProblemForm(
                    code=code_of(problem),
                    reason=problem.reason,
                    details=problem.details,
                    suggestion=problem.suggestion,
                )
                for problem in told.problems
            ],
        )

    async def get_status(self, params: wire.NoParams, caller: Caller) -> status.StatusForm:
        report = self.controller.health.report
        return status.StatusForm(
            status=report.status.value,
            uptime=round(self.controller.clock.monotonic_s() - self.controller.started_s, 3),
            version=__version__,
            components=dict(report.components),
            checks=[
                status.CheckForm(
                    name=each.name, status=each.status.value, detail=each.detail, since=each.since
                )
                for each in report.checks
            ],
            timestamp=self.controller.clock.now(),
        )

    async def get_server_info(self, params: wire.NoParams, caller: Caller) -> status.ServerInfo:
        return status.ServerInfo(
            name="camera-agent",
            version=__version__,
            build_date="",
            go_version="",
            python_version=platform.python_version(),
            architecture=platform.machine(),
            capabilities=["snapshots", "events"] if self.controller.snapshots.tiers else ["events"],
            supported_formats=[form.value for form in PictureFormat],
            max_cameras=0,
            plugins=[
                status.PluginForm(
                    name=each.name,
                    version=each.version,
                    status=each.state.value,
                    reason=each.reason,
                    details=each.details,
                )
                for each in self.controller.plugins.statuses
            ],
        )


def _viewer_rows(do: _Handlers) -> Sequence[tuple[str, str, Any, Any, Handler]]:
    return (
        (
            "get_camera_list",
            "All cameras, disconnected ones included.",
            wire.NoParams,
            CameraList,
            do.get_camera_list,
        ),
        ("get_camera_status", "One camera.", wire.DeviceParams, CameraStatusForm, do.get_camera_status),
        (
            "get_camera_capabilities",
            "What a camera can do.",
            wire.DeviceParams,
            CameraCapabilities,
            do.get_camera_capabilities,
        ),
        (
            "list_snapshots",
            "The stored snapshots, newest first.",
            wire.ListParams,
            FileList,
            do.list_snapshots,
        ),
        (
            "get_snapshot_info",
            "One stored snapshot.",
            wire.NameParams,
            SnapshotInfo,
            do.get_snapshot_info,
        ),
        (
            "get_system_status",
            "How far the agent is.",
            wire.NoParams,
            status.SystemStatusForm,
            do.get_system_status,
        ),
        ("get_server_info", "What this agent is.", wire.NoParams, status.ServerInfo, do.get_server_info),
    )


def core_methods(controller: Controller, forms: Forms) -> list[Method]:
    """Everything the core answers itself, and a placeholder for each method of the contract it does not."""
    do = _Handlers(controller, forms, CameraListText(forms))
    return [
        *(
            Method(name, Role.VIEWER, summary, params, result, handler, prompt=name in _PROMPT)
            for name, summary, params, result, handler in _viewer_rows(do)
        ),
        Method(
            "take_snapshot",
            Role.OPERATOR,
            "Take a picture by the fastest way that works at the moment.",
            TakeSnapshotParams,
            SnapshotForm,
            do.take_snapshot,
            errors=(InvalidState,),
        ),
        Method(
            "get_status",
            Role.ADMIN,
            "Health of the agent and its components, from memory.",
            wire.NoParams,
            status.StatusForm,
            do.get_status,
        ),
        *(_later(*row) for row in _LATER),
        *(contract_placeholder(*row, plugin="external_discovery") for row in _EXTERNAL),
    ]
