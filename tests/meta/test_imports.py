"""The agent imports what a configuration needs when it needs it: checked by modules, not by time."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio

ALL_PLUGINS = (
    "embedded_server",
    "external_discovery",
    "ffmpeg_tier",
    "libcamera_source",
    "mqtt_bridge",
    "rtsp_tier",
    "v4l2_tier",
    "virtual_camera",
    "web_console",
)
#: Runs an agent; prints what was loaded when it listened, and when its sources and its media server were ready.
PROGRAM = """
import json
import sys

seen = {}


def listening(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("endpoint.json"):
        seen["listening"] = sorted(sys.modules)


async def main():
    import anyio
    from agent_core.app import Agent
    from agent_core.config import AgentConfig

    async with anyio.create_task_group() as tg:
        running = await tg.start(Agent(AgentConfig.model_validate_json(sys.argv[1])).run)
        await running.parts.monitor.wait_settled()
        while running.parts.media.link.is_configured and running.parts.media.link.current is None:
            await anyio.sleep(0.01)
        seen["ready"] = sorted(sys.modules)
        tg.cancel_scope.cancel()


import anyio

sys.addaudithook(listening)
anyio.run(main)
print(json.dumps(seen))
"""


async def loaded(folder: Path, **sections: Any) -> dict[str, list[str]]:
    storage = {"state_dir": str(folder / "state"), "runtime_dir": str(folder / "run")}
    config = json.dumps({"server": {"port": 0}, "storage": storage, **sections})
    done = await anyio.run_process([sys.executable, "-c", PROGRAM, config], stderr=None, cwd=folder)
    modules: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return modules


async def test_what_a_picture_or_a_device_needs_waits_for_it(tmp_path: Path) -> None:
    plugins = {"enabled": ALL_PLUGINS, "embedded_server": {"api_port": 0, "rtsp_port": 0}}
    seen = await loaded(tmp_path, plugins=plugins)
    large = {
        "PIL",
        "av",
        "numpy",
        "paho",
        "simplejpeg",
        "aiomqtt",
        "linuxpy",
        "imageio_ffmpeg",
        "prometheus_client",
        "psutil",
        "pytest",
        "starlette.applications",
        "websockets.asyncio.client",
    }
    ours = {
        "agent_core.client",
        "agent_core.media.fmp4",
        "agent_core.mediamtx.rtsp_hold",
        "agent_core.mediamtx.managed",
        "agent_core.rpc.openrpc",
        "agent_core.web.routes",
        "v4l2_tier.checks",
    }
    assert not (large | ours) & set(seen["ready"])


async def test_it_listens_before_the_media_server_and_its_client_are_loaded(tmp_path: Path) -> None:
    plugins = {"enabled": ALL_PLUGINS, "embedded_server": {"api_port": 0, "rtsp_port": 0}}
    seen = await loaded(tmp_path, plugins=plugins)
    later = {
        "httpx",
        "jwt",
        "agent_core.mediamtx.client",
        "agent_core.plugin.rtsp",
        "embedded_server.api",
        "embedded_server.paths.path",
        "v4l2_tier.source.camera",
        "v4l2_tier.source.roster",
        "v4l2_tier.device.probe",
        "v4l2_tier.capture.producer",
    }
    assert not later & set(seen["listening"])
    assert {"httpx", "embedded_server.api"} <= set(
        seen["ready"]
    )  # so the look above was not too early to see any


async def test_without_a_media_server_its_client_is_never_loaded(tmp_path: Path) -> None:
    seen = await loaded(tmp_path, plugins={"enabled": ["virtual_camera"]})
    assert not {"httpx", "agent_core.mediamtx.client", "embedded_server", "v4l2_tier"} & set(seen["ready"])


async def test_a_server_without_tls_is_asked_without_the_certificates_of_the_system() -> None:
    code = """
import sys
from agent_core.mediamtx.client import open_transport
import ssl
for url in sys.argv[1:]:
    contexts = open_transport(url)._pool._ssl_context
    print(len(contexts.get_ca_certs()), contexts.verify_mode is ssl.CERT_REQUIRED)
"""
    urls = ["http://127.0.0.1:9997", "unix:///run/x.sock", "https://127.0.0.1:9997"]
    done = await anyio.run_process([sys.executable, "-c", code, *urls])
    plain, local, secure = (line.split() for line in done.stdout.decode().splitlines())
    assert plain == local == ["0", "True"]
    assert int(secure[0]) > 0
    assert secure[1] == "True"


async def test_the_garbage_collector_rests_until_it_listens_and_works_from_then_on(tmp_path: Path) -> None:
    code = """
import gc
import os
import signal
import sys
import threading
import time


def end_when_started():
    while not gc.isenabled():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


def told(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("endpoint.json"):
        print("starting", gc.isenabled(), flush=True)
        threading.Thread(target=end_when_started, daemon=True).start()
    if event == "os.remove" and str(arguments[0]).endswith("endpoint.json"):
        print("ending", gc.isenabled(), gc.get_freeze_count() > 0, flush=True)


from agent_core.cli import main

sys.addaudithook(told)
sys.exit(main(["run", "--config", sys.argv[1]]))
"""
    config = tmp_path / "config.toml"
    config.write_text(
        f"server.port = 0\nstorage.state_dir = '{tmp_path}/state'\nstorage.runtime_dir = '{tmp_path}/run'\n"
    )
    done = await anyio.run_process([sys.executable, "-c", code, str(config)], stderr=None)
    assert done.stdout.decode().splitlines() == ["starting False", "ending True True"]
