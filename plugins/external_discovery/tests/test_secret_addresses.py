"""Addresses whose query holds a password: the camera gets it, and no client, log or program's argument shows it.

The fixture `no_secret_anywhere` of the whole workspace searches for `CANARY`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent_core.client import CallFailed
from tests.canary import CANARY
from tests.e2e.media import next_event

from .discovery.test_dnssd import announced
from .network.agents import external_agent, settings_for
from .network.cameras import running_camera
from .network.clips import Clips
from .network.lan import Network
from .network.odd import describes, redirects, running_odd

Observe = Callable[[str], None]


@pytest.mark.timeout(120)
async def test_a_password_in_a_query_reaches_the_camera_alone(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    secret = f"rtsp://{host.v4}/stream1?user=admin&password={CANARY}&channel=1"
    hasty = {"media_server": {"start_timeout_s": 2}}
    async with external_agent(server_kind, tmp_path, observe, {}, **hasty) as agent:
        topics = ["camera.connected", "camera.disconnected", "camera.status_change"]
        async with agent.rig.client.subscribe(topics) as events:
            async with running_camera(host, tmp_path / "camera", clips.h264()):
                device = await agent.add(secret, "Gate")
                ((shown, stream),) = (await agent.known()).items()
                assert shown == secret.replace(CANARY, "***")
                picture = await agent.call("take_snapshot", device)
                assert picture["tier_used"] in (2, 3)
                await agent.record(device)
            async with running_odd(host, describes()) as odd:
                with pytest.raises(CallFailed):
                    await agent.call("start_streaming", device)
                assert any(f"password={CANARY}&channel=1" in each for each in odd.asked)
            async with running_odd(host, redirects(f"rtsp://192.0.2.1/?token={CANARY}")):
                with pytest.raises(CallFailed):
                    await agent.call("start_streaming", device)
            await next_event(events, "camera.status_change", device=device)
        error = await agent.try_to_add(secret)
        assert error is not None, "it is there already"
        assert stream["name"] == "Gate"
        await agent.remove(shown)
        assert await agent.known() == {}


async def test_a_stream_with_a_password_in_its_query_survives_a_restart(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    storage = {"state_dir": tmp_path / "state", "runtime_dir": tmp_path / "run"}
    async with running_odd(host, describes()) as odd:
        async with external_agent("embedded", tmp_path, observe, {}, storage=storage) as agent:
            device = await agent.add(f"rtsp://{host.v4}/x?token={CANARY}", "Gate")
        odd.asked.clear()
        async with external_agent("embedded", tmp_path, observe, {}, storage=storage) as agent:
            await agent.rig.until("get_camera_status", device, status="CONNECTED")
        assert any(f"token={CANARY}" in each for each in odd.asked)
    listed = tmp_path / "state" / "external_discovery-streams.json"
    assert CANARY not in listed.read_text()
    assert listed.stat().st_mode & 0o777 == 0o600


async def test_a_found_stream_with_a_secret_is_added_by_its_shown_address(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    search = {"dnssd": True, "onvif": False, "interfaces": ["eth0"], "multicast_wait_s": 3}
    settings = settings_for(network, discovery=search)
    secret = "T0ken/of=the?camera"
    service = ("Yard", 8554, (f"path=live?token={secret}",))
    async with (
        running_odd(host, describes(), port=8554) as odd,
        announced(host, tmp_path, service),
        external_agent("embedded", tmp_path, observe, settings) as agent,
    ):
        unknown = await agent.try_to_add(f"rtsp://{host.v4}:8554/live?token=***")
        assert unknown is not None
        assert unknown.data["rule"] == "hidden_parameter"
        found = await agent.call("discover_external_streams", None, generic_enabled=True)
        assert secret not in str(found)
        (shown,) = (each["url"] for each in found["discovered_streams"] if "token=" in each["url"])
        odd.asked.clear()
        device = await agent.add(shown, "Yard")
        assert all(f"/live?token={secret} " in each for each in odd.asked)
        assert len(odd.asked) >= 2
        assert (await agent.known())[shown]["device"] == device
