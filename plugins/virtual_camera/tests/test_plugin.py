from importlib.metadata import entry_points
from typing import Any

import pytest
from pydantic import ValidationError

from agent_core.plugin import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    Fingerprint,
    NotFound,
    Plugin,
    RpcMethod,
)
from virtual_camera import VirtualCameraPlugin
from virtual_camera.set_fault import SetFaultParams
from virtual_camera.settings import VirtualCameraSettings

CAMERAS = [{"name": "Front door", "serial": "A1"}, {"name": "Yard"}]


def test_the_entry_point_names_the_plugin() -> None:
    (found,) = entry_points(group="camera_agent.plugins", name="virtual_camera")
    assert found.load() is VirtualCameraPlugin
    assert issubclass(VirtualCameraPlugin, Plugin)
    assert VirtualCameraPlugin.Settings is VirtualCameraSettings


def make(agent: Any, *, faults: bool) -> tuple[VirtualCameraPlugin, list[RpcMethod[Any]]]:
    plugin = VirtualCameraPlugin(VirtualCameraSettings.model_validate({"cameras": CAMERAS, "faults": faults}))
    return plugin, plugin.agent_rpc_methods(agent) or []


def test_faults_are_out_of_reach_unless_asked_for(agent: Any) -> None:
    assert make(agent, faults=False)[1] == []
    (method,) = make(agent, faults=True)[1]
    assert (method.name, method.role) == ("virtual_camera.set_fault", "admin")


@pytest.mark.parametrize("device", ["Front door", "A1", "camera100"])
async def test_a_fault_reaches_the_camera_of_the_source(agent: Any, device: str) -> None:
    plugin, (method,) = make(agent, faults=True)
    (source,) = plugin.agent_camera_sources(agent)
    for key, name, number in (("A1", "Front door", 100), ("yard", "Yard", 101)):
        detected = DetectedCamera(key, name, Fingerprint("virtual_camera", serial=key), None)
        agent.cameras.known.append(Camera(CameraId(f"camera{number}"), CameraStatus.CONNECTED, 0.0, detected))
    faults = source.cameras[0].faults  # type: ignore[attr-defined] # our own source's

    async def switch(fault: str, *, enabled: bool) -> tuple[bool, bool, bool]:
        params = SetFaultParams.model_validate({"device": device, "fault": fault, "enabled": enabled})
        result = await method.call(params)
        assert result.model_dump() == {"device": device, "fault": fault, "enabled": enabled}
        return faults.stalled, faults.corrupting, faults.vanished

    assert await switch("stall", enabled=True) == (True, False, False)
    assert await switch("corrupt", enabled=True) == (True, True, False)
    assert await switch("vanish", enabled=True) == (True, True, True)
    assert await switch("stall", enabled=False) == (False, True, True)
    assert await switch("corrupt", enabled=False) == (False, False, True)
    assert await switch("vanish", enabled=False) == (False, False, False)
    other = source.cameras[1].faults  # type: ignore[attr-defined]
    assert (other.stalled, other.corrupting, other.vanished) == (False, False, False)


@pytest.mark.parametrize("device", ["camera0", "nobody", ""])
async def test_a_camera_that_does_not_exist_is_not_found(agent: Any, device: str) -> None:
    _, (method,) = make(agent, faults=True)
    foreign = DetectedCamera("A1", "Front door", Fingerprint("another_source", serial="A1"), None)
    agent.cameras.known.append(Camera(CameraId("camera0"), CameraStatus.CONNECTED, 0.0, foreign))
    with pytest.raises(NotFound) as caught:
        await method.call(SetFaultParams(device=device, fault="stall", enabled=True))
    assert caught.value.data() == {"resource": "camera", "id": device}


@pytest.mark.parametrize(
    "params",
    [
        {"device": "camera0", "fault": "explode", "enabled": True},
        {"device": "camera0", "fault": "stall"},
        {"fault": "stall", "enabled": True},
        {"device": "camera0", "fault": "stall", "enabled": True, "more": 1},
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SetFaultParams.model_validate(params)
