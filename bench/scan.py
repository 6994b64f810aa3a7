"""Time of a scan of a /24 of mostly silent hosts, against hosts x time-out / hosts at once.

scripts/bench scan

Needs root: the network is a namespace of its own, from which nothing leaves. Eight of the hosts are cameras that describe a
stream, the others swallow every packet. The bound is hosts x time-out / hosts at once; a ratio of 1 means that nothing is lost
to rounds that are not full, to the pace of connections and to the program itself.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import anyio
from anyio.abc import SocketStream

from agent_core.base.clock import SystemClock
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.interval import StoredInterval
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.service import Discovery
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.policy import AddressPolicy

#: RFC 2544: addresses for benchmarks.
_NETWORK = IPv4Network("198.18.0.0/24")
_AGENT = _NETWORK[1]
_CAMERAS = [_NETWORK[number] for number in range(30, 254, 30)]
_CLONE_NEWNET = 0x40000000
_SDP = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
_TIMEOUT_S = 1.0
_ONE_PORT = frozenset((StreamKind.SKYDIO,))
_THREE_PORTS = frozenset((StreamKind.SKYDIO, StreamKind.GENERIC))


@dataclass(frozen=True, slots=True)
class Case:
    """Scan to measure, with the default pace of connections."""

    name: str
    kinds: frozenset[StreamKind]
    hosts_at_once: int


_CASES = (
    Case("UAVs, one port", _ONE_PORT, 64),
    Case("all, three ports", _THREE_PORTS, 64),
    Case("all, 16 hosts at once", _THREE_PORTS, 16),
)


async def serve() -> None:
    """Be all cameras, at the ports of the profiles."""

    async def talk(stream: SocketStream) -> None:
        async with stream:
            while True:
                try:
                    head = (await stream.receive()).decode()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                cseq = head.partition("CSeq: ")[2].partition("\r\n")[0]
                body = _SDP if head.startswith("DESCRIBE") else ""
                answer = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                await stream.send(answer.encode())

    async with anyio.create_task_group() as tasks:
        for port in (554, 5554, 8554):
            listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=port)  # noqa: S104 # a namespace
            tasks.start_soon(listener.serve, talk)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


@asynccontextmanager
async def network() -> AsyncIterator[None]:
    """Move this process into a network of its own, with the cameras at the other end of the cable."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        sys.exit("bench scan: network namespaces need root")
    command = ["unshare", "--net", sys.executable, "-m", "bench.scan", "serve"]
    async with await anyio.open_process(command, stdin=None, stderr=None) as cameras:
        try:
            assert cameras.stdout is not None
            assert await cameras.stdout.receive() == b"ready\n"
            ip(
                "link set lo up",
                f"link add name near type veth peer name far netns {cameras.pid}",
                f"address add {_AGENT}/{_NETWORK.prefixlen} dev near",
                "link set near up",
                *(
                    f"neigh add {host} lladdr 02:00:00:00:00:01 dev near"
                    for host in _NETWORK.hosts()
                    if host not in (_AGENT, *_CAMERAS)
                ),
            )
            inside = [f"address add {host}/{_NETWORK.prefixlen} dev far" for host in _CAMERAS]
            batch = "\n".join(["link set lo up", *inside, "link set far up"])
            enter = ["nsenter", f"--net=/proc/{cameras.pid}/ns/net", "ip", "-batch", "-"]
            await anyio.run_process(enter, input=batch.encode())
            yield
        finally:
            cameras.kill()


async def measure(case: Case, folder: Path) -> tuple[float, float, int, int]:
    """Return the time of the scan and its bound, in seconds, and the numbers of hosts and of streams found."""
    settings = DiscoverySettings(
        networks=(_NETWORK,),
        hosts_at_once=case.hosts_at_once,
        connect_timeout_s=_TIMEOUT_S,
    )
    area = SearchArea(settings.networks, AddressPolicy())
    discovery = Discovery(settings, area, StoredInterval(folder, 0), SystemClock(), lambda _: None)
    async with anyio.create_task_group() as tasks:
        await tasks.start(discovery.run)
        report = await discovery.scan(case.kinds)
        tasks.cancel_scope.cancel()
    hosts = len(area.plan().hosts)
    bound_s = hosts * _TIMEOUT_S / case.hosts_at_once
    return report.duration_s, bound_s, hosts, len(discovery.streams())


async def main() -> None:
    print(f"{'scan':<24} {'hosts':>6} {'found':>6} {'bound s':>8} {'took s':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        async with network():
            for case in _CASES:
                took_s, bound_s, hosts, found = await measure(case, Path(folder))
                row = f"{case.name:<24} {hosts:>6} {found:>6} {bound_s:>8.2f} {took_s:>8.2f}"
                print(f"{row} {took_s / bound_s:>6.2f}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    anyio.run(serve if sys.argv[1:] == ["serve"] else main)
