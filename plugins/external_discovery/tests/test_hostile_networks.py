"""Networks whose hosts mean harm, or are many."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from .network import odd
from .network.agents import external_agent, settings_for
from .network.lan import Network
from .network.odd import Conversation, running_odd

Observe = Callable[[str], None]


@pytest.mark.timeout(180)
async def test_a_thousand_streams_are_found_and_one_of_them_added(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    """250 hosts with four streams each; the longest answer is one message."""
    host = network.add_host("cameras", addresses=250)
    discovery = {"networks": [str(network.wire.v4)], "connections_per_s": 2000, "scan_limit_s": 120}
    discovery |= {"onvif": False}
    async with AsyncExitStack() as stack:
        for port in (554, 8554, 5554):
            await stack.enter_async_context(running_odd(host, odd.describes(), port=port))
        settings = settings_for(network, discovery=discovery)
        agent = await stack.enter_async_context(external_agent("embedded", tmp_path, observe, settings))
        found = await agent.call("discover_external_streams", None, generic_enabled=True, force_rescan=True)
        assert found["total_found"] == len(found["discovered_streams"]) == 1000
        assert len({each["url"] for each in found["discovered_streams"]}) == 1000
        known = await agent.call("get_external_streams", None)
        assert known["total_count"] == 1000
        url = found["discovered_streams"][777]["url"]
        device = await agent.add(url, "one of them")
        assert {url: device} == {
            each: stream["device"] for each, stream in (await agent.known()).items() if "device" in stream
        }


_EVIL = "\x1b]0;owned\x07\x1b[2J\u202eevil <script>alert(1)</script> ${jndi:ldap://x} %s%n"


async def _boasts(conversation: Conversation) -> None:
    """Describe a stream, with names that a terminal, a page or a log may obey."""
    while True:
        method, _, cseq = await conversation.request()
        name = f"Server: {_EVIL}"
        if method == "DESCRIBE":
            body = odd.SDP.replace("s=odd", f"s={_EVIL}").replace("H264/", "H264\x1b[31m/")
            await conversation.answer(cseq, "200 OK", name, body=body)
        else:
            await conversation.answer(cseq, "200 OK", name)


async def test_names_of_hosts_stay_texts(
    network: Network, tmp_path: Path, observe: Observe, caplog: pytest.LogCaptureFixture
) -> None:
    host = network.add_host("evil")
    async with running_odd(host, _boasts), running_odd(host, _boasts, port=5554):
        async with external_agent("embedded", tmp_path, observe, settings_for(network)) as agent:
            found = await agent.call("discover_external_streams", None, generic_enabled=True)
            added = [await agent.add(each["url"], each["name"][:100]) for each in found["discovered_streams"]]
            shown = str([await agent.known(), await agent.call("get_camera_list", None)])
    assert added
    for text in (shown, str(found), caplog.text.replace("\n", "")):
        assert text.isprintable(), [each for each in text if not each.isprintable()]


_HUGE = odd.SDP + "a=x:" + "y" * 200_000 + "\r\n"
_MANY = odd.SDP + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" * 5000
_HOSTILE = {
    "huge": _HUGE + "a=z:" + "y" * 200_000,
    "many": _MANY,
    "no codec": "v=0\r\nm=video 0 RTP/AVP 96\r\n",
    "odd codec": "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 \x1b/0\r\n",
    "absurd rate": "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/" + "9" * 4000 + "\r\n",
    "port": "v=0\r\nm=video 99999999999999999999 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    "control": odd.SDP.replace("trackID=0", "rtsp://127.0.0.1:554/secret"),
    "parameters": odd.SDP.replace("Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=", "A" * 60_000),
}


@pytest.mark.parametrize("name", _HOSTILE)
async def test_a_hostile_description_is_refused_or_harmless(
    network: Network, server_kind: str, tmp_path: Path, observe: Observe, name: str
) -> None:
    """The agent and its media server serve on; nothing but the camera is contacted."""
    host = network.add_host("evil")
    secret = running_odd(network.agent, odd.describes())
    async with running_odd(host, odd.describes(_HOSTILE[name])), secret as own:
        hasty = {"media_server": {"start_timeout_s": 2}}
        async with external_agent(server_kind, tmp_path, observe, {}, **hasty) as agent:
            url = f"rtsp://{host.v4}/x"
            if await agent.try_to_add(url, name) is None:
                device = (await agent.known())[url]["device"]
                await agent.refused("start_streaming", device)
            await agent.call("take_snapshot", "camera0")
            await agent.call("start_streaming", "camera0")
        assert own.connections == 0
