"""Search for RTSP streams on hosts, one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import anyio

from external_discovery.address import IpAddress, StreamAddress
from external_discovery.discovery.pacing import Pacer
from external_discovery.discovery.profiles import CameraPath, StreamProfile
from external_discovery.discovery.results import Sighting
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget, probe

__all__ = ("Sweep", "SweepLimits")

#: Longest search of one port, in times of one answer: paths are tried one by one, and a server may be slow with each.
_PORT_LIMIT_ANSWERS = 4
#: Outcomes after which another path of the same port may still be a stream.
_OTHER_PATHS = frozenset((ProbeOutcome.NOT_FOUND, ProbeOutcome.REDIRECTED))


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """Limits of a sweep.

    Attributes:
        hosts_at_once: hosts that are searched at the same time; each has one connection per port.
        connect_timeout_s: limit of one connection.
        answer_timeout_s: limit of one connection and its answers.
    """

    hosts_at_once: int
    connect_timeout_s: float
    answer_timeout_s: float


class Sweep:
    """Searches hosts for the streams of profiles.

    Args:
        limits: limits of all searches together.
        pacer: pace of new connections.
        seen: receives each stream as soon as it is found.
        done: receives each host that has been searched.
    """

    def __init__(
        self,
        limits: SweepLimits,
        pacer: Pacer,
        *,
        seen: Callable[[Sighting], None],
        done: Callable[[IpAddress], None],
    ) -> None:
        self._limits = limits
        self._pacer = pacer
        self._seen = seen
        self._done = done

    async def run(self, hosts: Sequence[IpAddress], profiles: Sequence[StreamProfile]) -> None:
        """Search all hosts. Cancelling closes all connections.

        A host gets one connection per port, and further ones only while it answers that a path has no stream. It gets no
        password: a host that asks for one is reported and left alone.
        """
        waiting = iter(hosts)
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._limits.hosts_at_once, len(hosts))):
                tasks.start_soon(self._work, waiting, profiles)

    async def _work(self, waiting: Iterator[IpAddress], profiles: Sequence[StreamProfile]) -> None:
        for host in waiting:
            async with anyio.create_task_group() as tasks:
                for profile in profiles:
                    for port in profile.ports:
                        tasks.start_soon(self._search_port, host, port, profile)
            self._done(host)

    async def _search_port(self, host: IpAddress, port: int, profile: StreamProfile) -> None:
        with anyio.move_on_after(_PORT_LIMIT_ANSWERS * self._limits.answer_timeout_s):
            for path in profile.paths:
                if not await self._search_path(ProbeTarget(host, port, path.path, str(host)), path, profile):
                    return

    async def _search_path(self, target: ProbeTarget, path: CameraPath, profile: StreamProfile) -> bool:
        """Search one path, and return True if another one of the port is to be tried."""
        await self._pacer.wait()
        found = await probe(
            target,
            timeout_s=self._limits.answer_timeout_s,
            connect_timeout_s=self._limits.connect_timeout_s,
        )
        if found.outcome is ProbeOutcome.STREAM:
            self._seen(_sighting(target, path, profile, found))
            return profile.all_paths
        if found.outcome is ProbeOutcome.NEEDS_CREDENTIALS:
            likely = _likely_path(profile, found) or path
            at = ProbeTarget(target.address, target.port, likely.path, target.host)
            self._seen(_sighting(at, likely, profile, found))
            return False
        return found.outcome in _OTHER_PATHS


def _sighting(target: ProbeTarget, path: CameraPath, profile: StreamProfile, found: Probe) -> Sighting:
    return Sighting(
        address=StreamAddress("rtsp", target.host, target.port, target.path),
        name=f"{path.name} {target.host}",
        kind=profile.kind,
        tracks=found.tracks,
        needs_credentials=found.outcome is ProbeOutcome.NEEDS_CREDENTIALS,
        server=found.server,
    )


def _likely_path(profile: StreamProfile, found: Probe) -> CameraPath | None:
    """Return the path of the maker that realm or server name point to; None if they point to none."""
    for path in profile.paths:
        if path.hint is not None and (path.hint.search(found.realm) or path.hint.search(found.server)):
            return path
    return None
