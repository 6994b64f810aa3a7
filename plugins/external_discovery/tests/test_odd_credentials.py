"""Users and passwords with characters that addresses, shells and digests treat in special ways, on each media server."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin.rtsp import Credentials

from .network.agents import external_agent, userinfo
from .network.cameras import running_camera
from .network.clips import Clips
from .network.gate import running_gate
from .network.lan import Network

Observe = Callable[[str], None]

#: Each with the scheme that the camera asks for.
_ODD = (
    (Credentials("a b", " p ss "), "MD5"),
    (Credentials("admin", "p@ss:w/rd?#%25[]&+="), "MD5"),
    (Credentials("admin", "p@ss:w/rd?#%25[]&+="), "Basic"),
    (Credentials("b\u00f6diener", "pa\u00dfw\u00f6rt\u20ac\U0001f600"), "SHA-256"),
    (Credentials("b\u00f6diener", "pa\u00dfw\u00f6rt\u20ac\U0001f600"), "Basic"),
    (Credentials("admin", "$MTX_PATH${RTSP_PORT}$$"), "SHA-256"),
    # MediaMTX sends a quotation mark in a user's name as it is, which ends the name.
    (Credentials("ad'min", "'\"\\`;|&<>(){}*~"), "MD5"),
    (Credentials("u" * 200, "%41%zz%%" + "p" * 190), "SHA-256"),
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("in_url", [True, False], ids=["in the URL", "apart"])
async def test_every_password_opens_its_camera(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe, in_url: bool
) -> None:
    host = network.add_host("camera")
    chosen = _ODD if in_url else _ODD[1:7:3]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_camera(host, tmp_path / "camera", clips.h264(), port=8554))
        gates = [
            await stack.enter_async_context(
                running_gate(host, scheme, port=9000 + number, credentials=credentials)
            )
            for number, (credentials, scheme) in enumerate(chosen)
        ]
        agent = await stack.enter_async_context(external_agent(server_kind, tmp_path, observe, {}))
        for number, gate in enumerate(gates):
            given = gate.credentials
            place = f"{host.v4}:{9000 + number}/stream1"
            url = f"rtsp://{userinfo(given)}@{place}" if in_url else f"rtsp://{place}"
            apart: dict[str, Any] = {} if in_url else {"user": given.user, "password": given.password}
            device = await agent.add(url, f"camera {number}", **apart)
            proved = gate.passed.copy()
            assert proved, number
            await agent.call("start_streaming", device)
            assert gate.passed != proved, f"{given.user}: the media server did not open it"
            await agent.call("stop_streaming", device)
            assert gate.refused == 0, number
        shown = str([await agent.known(), await agent.call("get_streams", None), await agent.cameras()])
        for gate in gates:
            password = gate.credentials.password
            assert not password or password not in shown
