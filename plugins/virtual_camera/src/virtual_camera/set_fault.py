"""The method that switches faults from outside the process; for tests, and only where `faults = true`."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agent_core.plugin import CameraDirectory, NotFound, RpcMethod, RpcParams, RpcResult
from virtual_camera.camera import SOURCE, VirtualCamera

__all__ = ("SetFault", "SetFaultParams", "SetFaultResult")

Fault = Literal["stall", "corrupt", "vanish"]


class SetFaultParams(RpcParams):
    device: str = Field(description="the camera's id, configured name or serial number")
    fault: Fault = Field(description="what goes wrong: no frames, damaged frames, or no camera")
    enabled: bool = Field(description="false makes it right again")


class SetFaultResult(RpcResult):
    device: str
    fault: Fault
    enabled: bool


class SetFault(RpcMethod[SetFaultParams]):
    """`virtual_camera.set_fault`; the effect does not wait for anything."""

    name = f"{SOURCE}.set_fault"
    role = "admin"
    summary = "Make a virtual camera stall, send damaged frames or vanish, or make it right again."
    Params: ClassVar[type[RpcParams]] = SetFaultParams
    Result: ClassVar[type[RpcResult]] = SetFaultResult

    def __init__(self, cameras: Sequence[VirtualCamera], directory: CameraDirectory) -> None:
        self._cameras = tuple(cameras)
        self._directory = directory

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
