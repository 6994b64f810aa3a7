"""Examples of the methods about the agent as a whole. Apart from the methods, so that their rows stay short to read."""

from agent_core.api.examples.story import CAMERA, TAKEN_AT
from agent_core.api.schema import system as wire
from agent_core.api.schema.params import NoParams
from agent_core.plugin import MethodExample

__all__ = ("get_server_info", "get_status", "get_system_status")


def get_system_status() -> MethodExample:
    status = wire.SystemStatusForm(
        status="ready",
        message="1 camera connected.",
        available_cameras=[CAMERA],
        discovery_active=False,
        problems=[],
    )
    return MethodExample(NoParams(), status)


def get_server_info() -> MethodExample:
    plugin = wire.PluginForm(name="virtual_camera", version="0.1.0", status="LOADED", reason="", details="")
    info = wire.ServerInfo(
        name="camera-agent",
        version="0.1.0",
        contract_version=wire.CONTRACT_VERSION,
        build_date="",
        go_version="",
        python_version="3.13.5",
        architecture="aarch64",
        capabilities=["snapshots", "recording", "streaming", "events"],
        supported_formats=["jpg", "png", "fmp4", "mpegts", "rtsp"],
        max_cameras=256,
        plugins=[plugin],
        safe_mode=False,
    )
    return MethodExample(NoParams(), info)


def get_status() -> MethodExample:
    check = wire.CheckForm(name="disk", status="OK", detail="36864 MiB free.", since=TAKEN_AT)
    status = wire.StatusForm(
        status="HEALTHY",
        uptime=61.5,
        safe_mode=False,
        version="0.1.0",
        components={"websocket_server": "RUNNING", "camera_monitor": "RUNNING", "mediamtx": "RUNNING"},
        checks=[check],
        timestamp=TAKEN_AT,
    )
    return MethodExample(NoParams(), status)
