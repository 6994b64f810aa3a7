"""State of the agent as the mirror shows it, and its reading."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mqtt_bridge.link import AgentCalls, CallRefused
from mqtt_bridge.state.answers import (
    CameraList,
    Metrics,
    ServerInfo,
    Status,
    Storage,
    SystemStatus,
)

__all__ = ("AgentReader", "AgentView")


@dataclass(frozen=True, slots=True)
class AgentView:
    """Answers of the agent, read one shortly after the other."""

    cameras: CameraList
    metrics: Metrics
    status: Status
    system: SystemStatus
    server: ServerInfo
    storage: Storage | None

    @property
    def camera_ids(self) -> tuple[str, ...]:
        return tuple(str(each["device"]) for each in self.cameras.cameras)

    @property
    def connected(self) -> tuple[str, ...]:
        """Ids of the connected cameras."""
        return tuple(camera for camera, form in self.camera_forms.items() if form["status"] == "CONNECTED")

    @property
    def camera_forms(self) -> Mapping[str, Mapping[str, object]]:
        """The cameras as on the wire, by id."""
        return {str(each["device"]): each for each in self.cameras.cameras}


class AgentReader:
    """Reader of the agent's state.

    Args:
        calls: calls as a viewer.
        admin: calls as an admin, for the three methods about health, load and storage, which only read.
    """

    def __init__(self, calls: AgentCalls, admin: AgentCalls) -> None:
        self._calls = calls
        self._admin = admin

    async def read(self) -> AgentView:
        """Read everything. Raises CallRefused."""
        return AgentView(
            cameras=CameraList.model_validate(await self._calls.call("get_camera_list")),
            metrics=Metrics.model_validate(await self._admin.call("get_metrics")),
            status=Status.model_validate(await self._admin.call("get_status")),
            system=SystemStatus.model_validate(await self._calls.call("get_system_status")),
            server=ServerInfo.model_validate(await self._calls.call("get_server_info")),
            storage=await self._read_storage(),
        )

    async def read_changes(self, before: AgentView) -> AgentView:
        """Read what events tell of; take numbers that change all the time from `before`. Raises CallRefused."""
        metrics = Metrics.model_validate(await self._admin.call("get_metrics"))
        return replace(
            before,
            cameras=CameraList.model_validate(await self._calls.call("get_camera_list")),
            metrics=before.metrics.model_copy(update={"recording_metrics": metrics.recording_metrics}),
            status=Status.model_validate(await self._admin.call("get_status")),
            system=SystemStatus.model_validate(await self._calls.call("get_system_status")),
        )

    async def _read_storage(self) -> Storage | None:
        """Return the storage; None while its disk cannot be read."""
        try:
            return Storage.model_validate(await self._admin.call("get_storage_info"))
        except CallRefused:
            return None
