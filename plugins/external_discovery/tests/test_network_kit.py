"""The kit for networks of tests: what it claims about them is true."""

import shutil
import socket
from pathlib import Path
from urllib.parse import quote

import anyio
import httpx
import pytest

from agent_core.base import processes
from agent_core.plugin import ffmpeg
from agent_core.plugin.rtsp import Credentials
from agent_core.testing.mediamtx import find_mediamtx, running_mediamtx
from agent_core.testing.waiting import eventually

from .network.cameras import USER, running_camera, running_uav
from .network.clips import Clips
from .network.gate import running_gate
from .network.lan import Network, running_network
from .network.odd import answers_http, is_silent, running_odd

_USERINFO = f"{quote(USER.user, safe='')}:{quote(USER.password, safe='')}"


async def _read(url: str) -> tuple[int, str]:
    """Read a moment of the stream with FFmpeg; return its exit code and what it found."""
    words = [
        "-hide_banner",
        "-analyzeduration",
        "100000",
        "-rtsp_transport",
        "tcp",
        "-i",
        url,
        "-t",
        "0.2",
        "-c",
        "copy",
        "-f",
        "null",
        "-",
    ]
    done = await processes.run([ffmpeg.locate(), *words])
    return done.returncode, done.stderr


@pytest.mark.parametrize("server", ["mediamtx", "embedded"])
async def test_a_camera_serves_pictures_at_all_its_addresses(
    network: Network, clips: Clips, tmp_path: Path, server: str
) -> None:
    host = network.add_host("camera", addresses=2)
    assert len(host.addresses) == 4
    paths = ("one", "deep/two")
    async with running_camera(
        host, tmp_path, clips.h264(), clips.h265(), server=server, paths=paths
    ) as camera:
        for address in host.addresses:
            code, said = await _read(camera.url(address=address))
            assert (code, "Video: h264" in said) == (0, True), said
        code, said = await _read(camera.url("deep/two"))
        assert (code, "Video: hevc" in said) == (0, True), said
    with pytest.raises(ConnectionRefusedError):  # it ends with its streams
        socket.create_connection((str(host.v4), 554), timeout=5)


@pytest.mark.secret_arguments
@pytest.mark.parametrize("server", ["mediamtx", "embedded"])
@pytest.mark.parametrize("method", ["basic", "digest"])
async def test_a_camera_asks_for_the_password(
    network: Network, clips: Clips, tmp_path: Path, server: str, method: str
) -> None:
    host = network.add_host("camera")
    async with running_camera(host, tmp_path, clips.h264(), server=server, password=method) as camera:
        assert (await _read(camera.url(user=_USERINFO)))[0] == 0
        code, said = await _read(camera.url())
        assert (code, "401" in said) != (0, True), said


async def test_an_unplugged_host_is_silent_and_another_is_not(network: Network) -> None:
    near, far = network.add_host("near"), network.add_host("far")
    async with running_odd(near, is_silent), running_odd(far, is_silent):
        connected = await anyio.connect_tcp(str(near.v4), 554)
        near.unplug()
        async with await anyio.connect_tcp(str(far.v4), 554), connected:
            with anyio.move_on_after(1) as limit:
                await anyio.connect_tcp(str(near.v6), 554)
            assert limit.cancelled_caught
        near.replug()
        async with await anyio.connect_tcp(str(near.v6), 554):
            pass


async def test_silent_addresses_answer_nothing(network: Network) -> None:
    with anyio.move_on_after(1) as limit:
        await anyio.connect_tcp(str(network.wire.add_silent(2)[1]), 554)
    assert limit.cancelled_caught


@pytest.mark.usefixtures("_namespaces")
def test_what_is_sent_elsewhere_is_noticed_and_arrives_nowhere() -> None:
    with running_network() as network:
        network.add_host("camera", wire=network.add_wire())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("10.77.1.2", 53))
            sender.sendto(b"x", ("192.0.2.1", 53))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("2001:db8::1", 5353))
        with socket.socket() as client:
            client.settimeout(0.2)
            assert client.connect_ex(("198.51.100.7", 80)) != 0
        udp, tcp = socket.IPPROTO_UDP, socket.IPPROTO_TCP
        assert network.strays() == [
            f"192.0.2.1 protocol {udp} port 53",
            f"198.51.100.7 protocol {tcp} port 80",
            f"2001:db8::1 protocol {udp} port 5353",
        ]
        assert network.strays() == []
        ports = {"w0p0", "w1p0", "w1p1"}
        assert {"wire0", "wire1", "nowhere", *ports} <= set(network.links())


@pytest.mark.usefixtures("_namespaces")
def test_networks_do_not_see_each_other() -> None:
    with running_network() as outer:
        camera = outer.add_host("camera")
        listener = camera.listen(554)
        with listener:
            with running_network():
                with socket.socket() as client:
                    client.settimeout(0.5)
                    assert client.connect_ex((str(camera.v4), 554)) != 0
            socket.create_connection((str(camera.v4), 554), timeout=5).close()


@pytest.mark.secret_arguments
@pytest.mark.parametrize(
    ("scheme", "option"), [("Basic", "--basic"), ("MD5", "--digest"), ("SHA-256", "--digest")]
)
async def test_the_gate_is_open_to_curl_with_the_password_alone(
    network: Network, scheme: str, option: str
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    host = network.add_host("camera")
    url = f"http://{host.v4}:554/"
    async with running_odd(host, answers_http, port=8554), running_gate(host, scheme) as gate:
        done = await processes.run(["curl", "-s", option, "-u", f"{USER.user}:{USER.password}", url])
        assert (done.stdout, gate.passed) == (b"web", {scheme: 1})
        wrong = await processes.run(["curl", "-s", option, "-u", f"{USER.user}:wrong", url])
        assert (wrong.stdout, gate.passed, gate.refused > 0) == (b"", {scheme: 1}, True)


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("schemes", [("SHA-256",), ("SHA-256", "MD5", "Basic")])
async def test_mediamtx_reads_through_the_gate(
    network: Network, clips: Clips, tmp_path: Path, schemes: tuple[str, ...]
) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    host = network.add_host("camera")
    credentials = Credentials("operator", "a password")
    async with running_camera(host, tmp_path / "camera", clips.h264(), port=8554):
        async with running_gate(host, *schemes, credentials=credentials) as gate:
            (tmp_path / "reader").mkdir()
            source = f"rtsp://operator:a%20password@{host.v4}/stream1"
            settings = {"paths": {"pulled": {"source": source}}}
            async with running_mediamtx(program, tmp_path / "reader", settings=settings) as reader:
                await eventually(lambda: _tracks(reader.api_url))
            assert gate.passed["SHA-256" if len(schemes) == 1 else next(iter(gate.passed))] > 0


async def _tracks(api_url: str) -> list[str]:
    async with httpx.AsyncClient(timeout=30) as client:
        path = (await client.get(f"{api_url}/v3/paths/get/pulled")).json()
    return list(path.get("tracks", ()))


@pytest.mark.real_mediamtx
async def test_a_drone_sends_pictures_and_klv(network: Network, clips: Clips, tmp_path: Path) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    host = network.add_host("drone")
    settings = {"paths": {"pulled": {"source": "udp+mpegts://10.77.0.1:9000"}}}
    async with running_mediamtx(program, tmp_path, settings=settings) as reader:
        url = f"udp://{network.agent.v4}:9000?pkt_size=1316"
        async with running_uav(host, clips.klv(), url, tmp_path / "drone"):
            assert sorted(await eventually(lambda: _tracks(reader.api_url))) == ["H264", "KLV"]
