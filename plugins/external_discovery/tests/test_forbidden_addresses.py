"""Addresses that the agent must not open, tried through the method; no packet is sent to any of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from tests.e2e.conftest import AgentProcess, AgentProcessFactory

from .network.agents import ExternalAgent, external_agent
from .network.cameras import running_camera
from .network.clips import Clips
from .network.lan import Network
from .network.odd import Conversation, OddServer, Talk, describes, redirects, running_odd

Observe = Callable[[str], None]

LOOPBACK = (
    "rtsp://127.0.0.1/x",
    "rtsp://127.1.2.3:8554/x",
    "rtsp://[::1]/x",
    "rtsp://[::ffff:127.0.0.1]/x",
    "rtsp://[::ffff:7f00:1]/x",
    "rtsp://[::127.0.0.1]/x",
    "rtsp://[64:ff9b::7f00:1]/x",
    "rtsp://[2002:7f00:1::]/x",
    "rtsp://localhost/x",
    "rtsp://LOCALHOST./x",
    "srt://127.0.0.1:8890?streamid=read:x",
    "udp+mpegts://127.0.0.1:9000",
)
ODD_FORMS = (
    "rtsp://2130706433/x",
    "rtsp://017700000001/x",
    "rtsp://0x7f000001/x",
    "rtsp://0x7f.0.0.1/x",
    "rtsp://0177.0.0.1/x",
    "rtsp://127.1/x",
    "rtsp://127.0.1/x",
    "rtsp://0/x",
    "rtsp://127.0.0.1.:554.1/x",
    "rtsp://%31%32%37.0.0.1/x",
    "rtsp://\uff11\uff12\uff17.0.0.1/x",
    "rtsp://\u2460\u2461\u2466.0.0.1/x",
    "rtsp://127\u30020\u30020\u30021/x",
    "rtsp://[fe80::1%25eth0]/x",
    "rtsp://[::1/x",
    "rtsp://10.77.0.2@127.0.0.1@10.77.0.2/x",
    "rtsp://10.77.0.2\\@127.0.0.1/x",
    "rtsp://10.77.0.2#@127.0.0.1/x",
    "rtsp://127.0.0.1\t/x",
    "rtsp://10.77.0.2\r\nHost: x/x",
    "rtsp://10.77.0.2/x\r\nX: y",
    " rtsp://127.0.0.1/x",
    "rtsp:127.0.0.1/x",
    "rtsp:///x",
    "rtsp://",
    "rtsp://10.77.0.2:0/x",
    "rtsp://10.77.0.2:65536/x",
    "rtsp://10.77.0.2:\u0665\u0665\u0664/x",
)
OTHERS = (
    "rtsp://169.254.169.254/latest/meta-data",
    "rtsp://[::ffff:169.254.169.254]/x",
    "rtsp://[fd00:ec2::254]/x",
    "rtsp://169.254.7.7/x",
    "rtsp://[fe80::1]/x",
    "rtsp://0.0.0.0/x",
    "rtsp://[::]/x",
    "rtsp://255.255.255.255/x",
    "rtsp://224.0.0.1/x",
    "rtsp://[ff02::1]/x",
    "udp+mpegts://239.0.0.1:9000",
    "rtsp://240.0.0.1/x",
    "rtsp://10.77.0.1/x",
    "rtsp://[fd77::1]/x",
    "rtsp://[::ffff:10.77.0.1]/x",
)
SCHEMES = (
    "http://10.77.0.2/x",
    "https://10.77.0.2/x",
    "file:///etc/passwd",
    "rtmp://10.77.0.2/x",
    "rtspu://10.77.0.2/x",
    "rtsp+http://10.77.0.2/x",
    "unix+rtp:///run/x.sock",
    "concat:/etc/passwd|/etc/hosts",
    "pipe:0",
    "/etc/passwd",
    "publisher",
    "redirect",
    "rpiCamera",
    "gopher://10.77.0.2/x",
)
NOT_ALLOWED = (
    "rtsp://10.78.0.2/x",
    "rtsp://192.0.2.7/x",
    "rtsp://[2001:db8::7]/x",
    "rtsp://[2001:db8::5efe:a4d:2]/x",  # ISATAP's form of 10.77.0.2, at a network that is not allowed
    "rtsp://[2002:a4d:2::1]/x",  # 6to4's
)


@asynccontextmanager
async def _services_of_the_host(network: Network) -> AsyncIterator[list[OddServer]]:
    """What an attacker would like to reach: servers on all addresses of the agent's host, loopback included."""
    async with AsyncExitStack() as stack:
        ports = (80, 554, 8890)
        yield [
            await stack.enter_async_context(running_odd(network.agent, describes(), port=port))
            for port in ports
        ]


@pytest.mark.parametrize("verify", [True, False])
async def test_forbidden_addresses_are_refused_and_never_contacted(
    network: Network, tmp_path: Path, observe: Observe, verify: bool
) -> None:
    allowed = {"allowed_networks": [str(network.wire.v4), str(network.wire.v6)]}
    async with _services_of_the_host(network) as services:
        for settings, addresses in (
            ({}, (*LOOPBACK, *ODD_FORMS, *OTHERS, *SCHEMES)),
            (allowed, (*LOOPBACK, *ODD_FORMS, *OTHERS, *SCHEMES, *NOT_ALLOWED)),
        ):
            async with external_agent("embedded", tmp_path, observe, settings) as agent:
                refused = {url: await agent.try_to_add(url, verify=verify) for url in addresses}
                assert not [url for url, error in refused.items() if error is None]
                assert {error.code for error in refused.values() if error is not None} == {-32602}
                assert await agent.known() == {}
                assert await agent.cameras() == {}
        assert [each.connections for each in services] == [0, 0, 0]


async def test_a_redirect_is_refused_when_a_stream_is_added(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    host, other = network.add_host("odd"), network.add_host("other")
    async with _services_of_the_host(network) as services, running_odd(other, describes()) as target:
        async with external_agent("embedded", tmp_path, observe, {}) as agent:
            for location in (
                "rtsp://127.0.0.1/{path}",
                f"rtsp://{other.v4}/{{path}}",
                "rtsp://192.0.2.7/x",
                f"rtsp://{host.v4}/elsewhere",
            ):
                async with running_odd(host, redirects(location)):
                    url = f"rtsp://{host.v4}/stream1"
                    error = await agent.refused("add_external_stream", None, stream_url=url, stream_name="x")
                    assert error.reason == "redirected", error
            assert await agent.known() == {}
        assert [each.connections for each in (*services, target)] == [0] * 4


@pytest.mark.timeout(120)
async def test_a_redirect_that_comes_later_leads_nowhere(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    """The camera is added while it is one. Then it redirects to a stream of the agent's own host."""
    host, other = network.add_host("camera"), network.add_host("other")
    inside = running_camera(network.agent, tmp_path / "inside", clips.h264(), port=5540)
    async with inside as secret, _services_of_the_host(network) as services:
        async with external_agent(server_kind, tmp_path, observe, {}) as agent:
            async with running_camera(host, tmp_path / "camera", clips.h264()) as camera:
                device = await agent.add(camera.url())
                await agent.call("take_snapshot", device, max_age_ms=0)
            asked = 0
            for location in (
                f"rtsp://127.0.0.1:{secret.port}/stream1",
                f"rtsp://{network.agent.v4}:{secret.port}/stream1",
                "rtsp://127.0.0.1:554/x",
                "rtsp://192.0.2.7/x",
            ):
                async with running_odd(host, redirects(location)) as odd, running_odd(other, describes()):
                    with anyio.move_on_after(20):
                        with pytest.raises(CallFailed):
                            await agent.call("start_streaming", device)
                    with pytest.raises(CallFailed):
                        await agent.call("take_snapshot", device, max_age_ms=0)
                    asked += len(odd.asked)
            assert asked, "nothing was tried"
        assert [each.connections for each in services] == [0, 0, 0]
    log = (tmp_path / "inside" / "server.log").read_text()
    assert log.count("is reading from path") == 1, "the kit itself"


def _redirects_every_second(location: str) -> Talk:
    """Return a camera that answers well on one connection, as to the agent's look, and redirects on the next one."""
    well, elsewhere = describes(), redirects(location)
    turn = count()

    async def talk(conversation: Conversation) -> None:
        await (elsewhere if next(turn) % 2 else well)(conversation)

    return talk


@pytest.mark.timeout(120)
async def test_the_embedded_server_follows_a_redirect_only_through_the_policy(
    network: Network, clips: Clips, tmp_path: Path, observe: Observe
) -> None:
    """The camera deceives the agent's look and redirects the media server."""
    host, other, outside = (network.add_host(each) for each in ("camera", "other", "outside"))
    allowed = {"allowed_networks": [str(host.v4), str(other.v4)]}
    async with running_odd(outside, describes()) as forbidden:
        async with external_agent("embedded", tmp_path, observe, allowed) as agent:
            async with running_odd(host, _redirects_every_second(f"rtsp://{outside.v4}/x")) as odd:
                added = await agent.call(
                    "add_external_stream", None, stream_url=f"rtsp://{host.v4}/x", stream_name="odd"
                )
                for _ in range(3):
                    with anyio.move_on_after(10), pytest.raises(CallFailed):
                        await agent.call("start_streaming", added["device"])
                assert odd.connections > 3, "nothing was tried"
            assert forbidden.connections == 0
            inside = running_camera(other, tmp_path / "other", clips.h264())
            async with inside as camera, running_odd(host, _redirects_every_second(camera.url())):
                with anyio.fail_after(60):
                    while not await _starts(agent, added["device"]):
                        await anyio.sleep(0.5)


async def _starts(agent: ExternalAgent, device: str) -> bool:
    try:
        await agent.call("start_streaming", device)
    except CallFailed:
        return False
    return True


#: Runs a program with other names than the machine's.
_WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
_CONFIG = """
[plugins]
enabled = ["ffmpeg_tier", "rtsp_tier", "embedded_server", "external_discovery"]
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
"""


@asynccontextmanager
async def _named(
    agent_process: AgentProcessFactory, folder: Path, names: str
) -> AsyncIterator[tuple[AgentProcess, AgentClient, Path]]:
    """Run an agent that knows these names, from a file that the test may change."""
    hosts = folder / "hosts"
    hosts.write_text(names)
    async with agent_process(_CONFIG, prefix=(*_WITH_HOSTS, str(hosts))) as agent:
        async with agent.client("admin") as client:
            yield agent, client, hosts


@pytest.mark.timeout(120)
async def test_a_name_is_judged_by_all_its_addresses_each_time(
    network: Network, clips: Clips, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    host = network.add_host("camera")
    good = f"{host.v4} camera.test\n{host.v6} camera.test\n"
    bad = f"127.0.0.1 loop.test\n::1 six.test\n169.254.169.254 meta.test\n{network.agent.v4} own.test\n"
    mixed = f"{host.v4} mixed.test\n127.0.0.1 mixed.test\n"
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(_services_of_the_host(network))
        camera = await stack.enter_async_context(running_camera(host, tmp_path / "camera", clips.h264()))
        named = _named(agent_process, tmp_path, good + bad + mixed)
        _, client, hosts = await stack.enter_async_context(named)
        for name in ("loop", "six", "meta", "own", "mixed"):
            with pytest.raises(CallFailed) as refused:
                await client.call(
                    "add_external_stream", stream_url=f"rtsp://{name}.test/stream1", stream_name=name
                )
            assert refused.value.code == -32602, name
        added = await client.call(
            "add_external_stream", stream_url=camera.url(address="camera.test"), stream_name="named"
        )
        device = added["device"]
        assert (await client.call("take_snapshot", device=device))["device"] == device
        await client.call("start_streaming", device=device)
        await client.call("stop_streaming", device=device)
        hosts.write_text("127.0.0.1 camera.test\n")
        with anyio.fail_after(60):
            while True:
                try:
                    await client.call("take_snapshot", device=device, max_age_ms=0)
                except CallFailed:
                    break
                await anyio.sleep(1)
        assert [each.connections for each in services] == [0, 0, 0]
        hosts.write_text(good)
        with anyio.fail_after(60):
            while True:
                try:
                    await client.call("take_snapshot", device=device, max_age_ms=0)
                    break
                except CallFailed:
                    await anyio.sleep(0.5)
