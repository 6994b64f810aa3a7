"""RPC method that switches faults, for tests. Available only if `faults = true`."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agent_core.plugin import (
    AgentError,
    CameraDirectory,
    MethodExample,
    NotFound,
    RpcMethod,
    RpcParams,
    RpcResult,
)
from virtual_camera.camera import SOURCE, VirtualCamera

__all__ = ("SetFault", "SetFaultParams", "SetFaultResult")

Fault = Literal["stall", "corrupt", "vanish"]


class SetFaultParams(RpcParams):
    """Parameters of `virtual_camera.set_fault`."""

    device: str = Field(description="id, configured name or serial number of the camera")
    fault: Fault = Field(description="stall: no frames; corrupt: damaged frames; vanish: no camera")
    enabled: bool = Field(description="true starts the fault, false ends it")


class SetFaultResult(RpcResult):
    """Result of `virtual_camera.set_fault`: the parameters."""

    device: str
    fault: Fault
    enabled: bool


class SetFault(RpcMethod[SetFaultParams]):
    """Method `virtual_camera.set_fault`. A fault takes effect at once."""

    name = f"{SOURCE}.set_fault"
    role = "admin"
    summary = "Make a virtual camera stall, send damaged frames or vanish, or end such a fault."
    Params: ClassVar[type[RpcParams]] = SetFaultParams
    Result: ClassVar[type[RpcResult]] = SetFaultResult
    errors: ClassVar[tuple[type[AgentError], ...]] = (NotFound,)

    def __init__(self, cameras: Sequence[VirtualCamera], directory: CameraDirectory) -> None:
        self._cameras = tuple(cameras)
        self._directory = directory

    @classmethod
    def example(cls) -> MethodExample:
        return MethodExample(
            SetFaultParams(device="camera0", fault="stall", enabled=True),
            SetFaultResult(device="camera0", fault="stall", enabled=True),
        )

    async def call(self, params: SetFaultParams) -> SetFaultResult:
        faults = self._find(params.device).faults
        if params.fault == "stall":
            faults.stall(enabled=params.enabled)
        elif params.fault == "corrupt":
            faults.corrupt(enabled=params.enabled)
        elif params.enabled:
            faults.vanish()
        else:
            faults.come_back()
        return SetFaultResult(device=params.device, fault=params.fault, enabled=params.enabled)

    def _find(self, device: str) -> VirtualCamera:
        names = {device} | {
            each.detected.key
            for each in self._directory.list()
            if each.id == device and each.detected.fingerprint.source == SOURCE
        }
        for camera in self._cameras:
            if names & {camera.key, camera.settings.name}:
                return camera
        raise NotFound("There is no such virtual camera.", resource="camera", id=device)
