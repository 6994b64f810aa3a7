"""Probes of real cameras, and of servers that are none, over a network."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.plugin.rtsp import Credentials
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget, probe

from .network import odd
from .network.cameras import USER, running_camera, running_klv_camera
from .network.clips import Clips
from .network.gate import running_gate
from .network.lan import Address, Host, Network

#: For servers that answer; and for those that never do.
_PATIENT_S, _SHORT_S = 20.0, 1.0
_WRONG = Credentials(USER.user, "wrong")


async def _probe(
    address: Address,
    path: str = "/stream1",
    *,
    credentials: Credentials | None = None,
    timeout_s: float = _PATIENT_S,
) -> Probe:
    target = ProbeTarget(address, 554, path, str(address))
    return await probe(target, credentials=credentials, timeout_s=timeout_s)


def _codecs(found: Probe) -> list[str]:
    return sorted(track.codec for track in found.tracks)


@pytest.mark.parametrize("server", ["embedded", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
async def test_what_a_camera_has_is_told_at_each_of_its_addresses(
    network: Network, clips: Clips, tmp_path: Path, server: str
) -> None:
    host = network.add_host("camera", addresses=2)
    paths = ("stream1", "h265", "with/sound")
    files = (clips.h264(), clips.h265(), clips.h264_with_aac())
    async with running_camera(host, tmp_path, *files, server=server, paths=paths):
        for address in host.addresses:
            found = await _probe(address)
            assert (found.outcome, _codecs(found)) == (ProbeOutcome.STREAM, ["H264"]), found
        assert _codecs(await _probe(host.v6, "/h265")) == ["H265"]
        assert _codecs(await _probe(host.v4, "/with/sound")) == ["AAC", "H264"]
        assert (await _probe(host.v4, "/other")).outcome is ProbeOutcome.NOT_FOUND
    assert (await _probe(host.v4)).outcome is ProbeOutcome.REFUSED


@pytest.mark.real_mediamtx
async def test_klv_is_told(network: Network, clips: Clips, tmp_path: Path) -> None:
    host = network.add_host("drone")
    async with running_klv_camera(host, tmp_path, clips.klv()):
        found = await _probe(host.v4)
        assert (found.outcome, _codecs(found)) == (ProbeOutcome.STREAM, ["H264", "KLV"])


@asynccontextmanager
async def _locked(host: Host, clips: Clips, folder: Path, server: str, method: str) -> AsyncIterator[None]:
    """A camera that asks for the password of `USER` by that method."""
    async with AsyncExitStack() as stack:
        behind = method not in ("basic", "digest")
        camera = running_camera(
            host,
            folder,
            clips.h264(),
            server=server,
            port=8554 if behind else 554,
            password=None if behind else method,
        )
        await stack.enter_async_context(camera)
        if behind:
            await stack.enter_async_context(running_gate(host, *method.split("+")))
        yield


@pytest.mark.parametrize(
    ("server", "method"),
    [
        ("embedded", "basic"),
        ("embedded", "digest"),
        ("embedded", "SHA-256"),
        ("embedded", "MD5+SHA-256"),
        pytest.param("mediamtx", "basic", marks=pytest.mark.real_mediamtx),
        pytest.param("mediamtx", "digest", marks=pytest.mark.real_mediamtx),
        pytest.param("mediamtx", "SHA-256+MD5+Basic", marks=pytest.mark.real_mediamtx),
    ],
)
async def test_a_password_is_asked_for_and_proved(
    network: Network, clips: Clips, tmp_path: Path, server: str, method: str
) -> None:
    host = network.add_host("camera")
    async with _locked(host, clips, tmp_path, server, method):
        without = await _probe(host.v4)
        wrong = await _probe(host.v4, credentials=_WRONG)
        right = await _probe(host.v4, credentials=USER)
    assert without.outcome is ProbeOutcome.NEEDS_CREDENTIALS
    assert wrong.outcome is ProbeOutcome.WRONG_CREDENTIALS
    assert (right.outcome, _codecs(right)) == (ProbeOutcome.STREAM, ["H264"])
    assert USER.password not in str((without, wrong, right))


async def test_the_password_itself_is_not_sent_where_a_digest_will_do(
    network: Network, clips: Clips, tmp_path: Path
) -> None:
    host = network.add_host("camera")
    async with running_camera(host, tmp_path, clips.h264(), server="embedded", port=8554):
        async with running_gate(host, "Basic", "SHA-256") as gate:
            assert (await _probe(host.v4, credentials=USER)).outcome is ProbeOutcome.STREAM
    assert set(gate.passed) == {"SHA-256"}


@pytest.mark.parametrize(
    ("talk", "outcome"),
    [
        (odd.is_silent, ProbeOutcome.SILENT),
        (odd.drips(), ProbeOutcome.SILENT),
        (odd.talks_garbage, ProbeOutcome.NOT_RTSP),
        (odd.answers_http, ProbeOutcome.NOT_RTSP),
        (odd.endless, ProbeOutcome.NOT_RTSP),
        (odd.redirects("rtsp://127.0.0.1:554/{path}"), ProbeOutcome.REDIRECTED),
        (odd.redirects("rtsp://192.0.2.7/{path}", to_describe="301 Moved"), ProbeOutcome.REDIRECTED),
        (odd.closes_after_describe(), ProbeOutcome.STREAM),
        (odd.describes("v=0\r\n"), ProbeOutcome.NOT_FOUND),
    ],
    ids=["silent", "drips", "garbage", "http", "endless", "to-loopback", "elsewhere", "closes", "no-media"],
)
async def test_a_server_that_is_no_camera(network: Network, talk: odd.Talk, outcome: ProbeOutcome) -> None:
    """The end of the fixture holds that no redirect was followed."""
    host = network.add_host("odd")
    async with odd.running_odd(host, talk) as server:
        timeout_s = _SHORT_S if outcome is ProbeOutcome.SILENT else _PATIENT_S
        found = await _probe(host.v6, timeout_s=timeout_s)
    assert found.outcome is outcome, found
    assert server.connections <= 3


async def test_hosts_that_do_not_answer(network: Network) -> None:
    unplugged, closed = network.add_host("unplugged"), network.add_host("closed")
    unplugged.unplug()
    (silent,) = network.wire.add_silent(1)
    absent = network.wire.v4.network_address + 99
    found: dict[str, ProbeOutcome] = {}

    async def ask(name: str, address: Address) -> None:
        found[name] = (await _probe(address, timeout_s=_SHORT_S)).outcome

    async with anyio.create_task_group() as tasks:
        for name, address in (("unplugged", unplugged.v4), ("silent", silent), ("absent", absent)):
            tasks.start_soon(ask, name, address)
        tasks.start_soon(ask, "closed", closed.v6)
    unreachable = dict.fromkeys(("unplugged", "silent", "absent"), ProbeOutcome.UNREACHABLE)
    assert found == {**unreachable, "closed": ProbeOutcome.REFUSED}
