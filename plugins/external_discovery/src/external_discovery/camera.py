"""Camera of one added stream: probed, judged by the policy each time, and reported to the agent."""

import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agent_core.plugin import (
    AgentContext,
    AgentError,
    CameraId,
    CameraReport,
    CaptureFailed,
    DetectedCamera,
    Fingerprint,
    MediaInput,
    Url,
    first_of,
)
from external_discovery.health import Health, Pace, Verdict
from external_discovery.policy import (
    AddressPolicy,
    AddressRefused,
    Pinned,
    Resolver,
    StreamAddress,
    resolve_and_pin,
)
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget, probe
from external_discovery.streams import AddedStream

if TYPE_CHECKING:
    from datetime import datetime

    from agent_core.plugin.rtsp import Credentials
    from external_discovery.tracks import Track

__all__ = ("SOURCE", "Prober", "StreamCamera")

_log = logging.getLogger("camera_agent.external_discovery")

#: Name of the source, of its fingerprints and of the plugin.
SOURCE = "external_discovery"
#: Pause before the look at a stream that the media server has live: it needs no probe.
_LIVE_S = 10.0
_NOT_SEEN = "It was not seen yet."
#: Schemes that a probe understands. Others are not asked: their senders do not answer.
_PROBED = frozenset({"rtsp", "rtsps"})


@dataclass(eq=False, slots=True)
class Prober:
    """Means to look at a stream. The policy and the limit may be changed at any time; they count for the next look.

    Attributes:
        policy: addresses that may be opened.
        resolver: resolves host names.
        timeout_s: limit of a probe.
        limiter: bounds the looks that nothing waits for and that run at the same time.
    """

    policy: AddressPolicy
    resolver: Resolver
    timeout_s: float
    limiter: anyio.CapacityLimiter

    async def pin(self, address: StreamAddress, former: Pinned | None = None) -> Pinned:
        """Return the address with a checked IP address; `former`, if its IP address is still one of the host's.

        While the name does not resolve, `former` is checked and used: name servers of small networks fail more often
        than cameras move.

        Raises:
            AddressRefused, CaptureFailed: as `resolve_and_pin`.
        """
        if former is None:
            return await resolve_and_pin(address, self.policy, resolver=self.resolver)
        try:
            return await resolve_and_pin(address, self.policy, resolver=self.resolver, preferred=former.ip)
        except CaptureFailed:
            self.policy.require(former.ip)
            return former

    async def look(self, pinned: Pinned, credentials: "Credentials | None") -> Probe:
        """Probe the stream; one of a scheme that cannot be asked counts as there."""
        address = pinned.address
        if address.scheme not in _PROBED:
            return Probe(ProbeOutcome.STREAM, (), "", "Streams of this kind are not asked.")
        target = ProbeTarget(
            pinned.ip, address.port, address.path, address.host, tls=address.scheme == "rtsps"
        )
        return await probe(target, credentials=credentials, timeout_s=self.timeout_s)


class StreamCamera:
    """Camera of one added stream. `watch` runs until cancelled; the other methods may be called from any task.

    It implements `StreamGate`: the core asks it before it opens the camera.
    """

    def __init__(
        self, stream: AddedStream, prober: Prober, agent: AgentContext, report: CameraReport
    ) -> None:
        self.stream = stream
        self._prober = prober
        self._agent = agent
        self._report = report
        self._health = Health(random.Random())  # noqa: S311 - spreads pauses, guards nothing
        self._lock = anyio.Lock()
        self._pinned: Pinned | None = None
        self._next_s = 0.0
        self._changed = anyio.Event()
        self._is_over = False
        self._is_known = False
        self._reason = "not_seen"
        #: Set after the first look.
        self.seen = anyio.Event()
        self.tracks: tuple[Track, ...] = ()
        self.server = ""
        self.last_seen: datetime | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Current verdict; None before the first probe."""
        return self._health.verdict

    @property
    def details(self) -> str:
        """Why the stream is not online; empty if it is."""
        return self._health.details

    @property
    def device(self) -> CameraId | None:
        """Id of the camera; None before it was reported."""
        for each in self._agent.cameras.list():
            known = each.detected.fingerprint
            if (known.source, known.serial) == (SOURCE, self.stream.id):
                return each.id
        return None

    def begin(self, pinned: Pinned, found: Probe | None) -> None:
        """Report a camera that was just added, from a dry run that went well; without one it is not seen yet."""
        self._pinned = pinned
        if found is not None:
            self._take(found)
        else:
            self._health.details = _NOT_SEEN
            self._fail()

    async def watch(self) -> None:
        """Probe and report until cancelled."""
        while True:
            pause_s = self._next_s - self._agent.clock.monotonic_s()
            if pause_s > 0:
                self._changed = changed = anyio.Event()
                await first_of(partial(self._agent.clock.sleep, pause_s), changed.wait)
                continue
            if await self._is_wanted():
                await self.look()
            else:  # outside the lock: whoever wants the camera meanwhile does not queue behind cameras that are gone
                async with self._prober.limiter:
                    await self.look()
            await self._schedule()
            self.seen.set()

    async def look(self) -> None:
        """Look at the stream now, unless the media server has it live, and report what came of it."""
        async with self._lock:
            try:
                self._pin(await self._prober.pin(self.stream.address, self._pinned))
            except AddressRefused as refused:
                self._refuse(refused)
            except CaptureFailed as failed:
                self._take(Probe(ProbeOutcome.UNREACHABLE, (), "", failed.details))
            else:
                await self._probe()

    async def _probe(self) -> None:
        assert self._pinned is not None  # noqa: S101 - the caller has pinned it
        if self._is_live():
            self.last_seen = self._agent.clock.now()
            self._health.worked()
            self._connect()
        else:
            self._take(await self._prober.look(self._pinned, self.stream.credentials))

    async def admit(self) -> MediaInput:
        """Return the input at which the camera may be opened now: its name is resolved and its redirects are refused anew.

        Raises:
            CaptureFailed: the address is refused, or the camera does not offer the stream.
        """
        if not (self._is_over or self._is_locked_out()):
            await self.look()
            await self._schedule()
        if self._is_over or self._pinned is None or self._health.verdict is not Verdict.ONLINE:
            raise CaptureFailed(
                self._health.details or "The stream does not work now.",
                reason=self._reason,
                suggestion="Look at the camera; get_external_streams shows its state.",
            )
        return self._input(self._pinned)

    async def admit_redirect(self, url: str) -> str:
        """Return the address to open in place of `url`, to which the camera redirects; it is judged as an added one.

        Raises:
            AddressRefused: the policy refuses it.
            CaptureFailed: its name does not resolve, or the stream is no camera any more.
        """
        if self._is_over:
            raise CaptureFailed(
                "The stream was removed, or its source has ended.",
                reason="source_not_running",
                suggestion="Add the stream again.",
            )
        address, _ = StreamAddress.parse(url)
        return (await self._prober.pin(address)).url

    def _is_locked_out(self) -> bool:
        """Return True while another login with the wrong password could lock the account."""
        waits = self._next_s > self._agent.clock.monotonic_s()
        return waits and self._reason in (ProbeOutcome.WRONG_CREDENTIALS, ProbeOutcome.NEEDS_CREDENTIALS)

    def judge_anew(self) -> None:
        """Look at the stream soon, whatever the pause: other addresses are allowed now."""
        self._next_s = self._agent.clock.monotonic_s()
        self._changed.set()

    def retire(self) -> None:
        """Report nothing more, and admit nothing: the source ends."""
        self._is_over = True

    def end(self, reason: str) -> None:
        """Report the camera as removed; it says nothing more."""
        if not self._is_known:
            self._health.details = _NOT_SEEN
            self._fail()  # the core knows no camera yet that could be removed
        self._is_over = True
        self._report.removed(self.stream.id, reason)

    # Reports.

    def _take(self, found: Probe) -> None:
        verdict = self._health.saw(found.outcome, found.details)
        self._reason = found.outcome.value
        self._next_s = self._agent.clock.monotonic_s() + self._health.pause_s(Pace.IDLE)
        if found.outcome is ProbeOutcome.STREAM:
            self.tracks, self.server = found.tracks, found.server
        if found.outcome is not ProbeOutcome.UNREACHABLE:
            self.last_seen = self._agent.clock.now()
        if verdict is Verdict.ONLINE:
            self._connect()
        elif verdict is Verdict.OFFLINE:
            self._lose()
        else:
            self._fail()

    def _refuse(self, refused: AddressRefused) -> None:
        self._pinned = None
        self._health.refused(refused.details)
        self._reason = refused.reason
        self._fail()

    def _pin(self, pinned: Pinned) -> None:
        if self._pinned is not None and self._pinned.ip != pinned.ip:
            _log.info(
                "%s has another address now", self.stream.name, extra={"fields": {"stream": self.stream.id}}
            )
        self._pinned = pinned

    def _connect(self) -> None:
        if not self._is_over and self._pinned is not None:
            self._is_known = True
            self._report.connected(self._detected(self._input(self._pinned)))

    def _lose(self) -> None:
        if self._is_over:
            return
        if not self._is_known:  # the core knows no camera yet that could be gone
            self._report.failed(self.stream.id, self._health.details, self._detected(None))
            self._is_known = True
        self._report.disconnected(self.stream.id, self._health.details)

    def _fail(self) -> None:
        """Report the camera as present and unusable; without an input it loses its path."""
        if not self._is_over:
            self._is_known = True
            self._report.failed(self.stream.id, self._health.details, self._detected(None))

    def _detected(self, media_input: MediaInput | None) -> DetectedCamera:
        chosen = self.stream.camera_id
        return DetectedCamera(
            key=self.stream.id,
            name=self.stream.name,
            fingerprint=Fingerprint(SOURCE, serial=self.stream.id),
            media_input=media_input,
            configured_id=None if chosen is None else CameraId(chosen),
            gate=self,
            tracks=tuple(each.codec for each in self.tracks),
        )

    def _input(self, pinned: Pinned) -> Url:
        known = self.stream.credentials
        if known is None:
            return Url(pinned.url, has_credentials=pinned.address.has_secrets)
        return Url.with_credentials(pinned.url, known.user, known.password)

    # Pace.

    def _is_live(self) -> bool:
        device = self.device
        stream = None if device is None else self._agent.streams.known(device)
        return stream is not None and stream.since_s is not None

    async def _schedule(self) -> None:
        """Choose the time of the next look, and wake the task that waits for it."""
        if self._is_live() and self._health.verdict is Verdict.ONLINE:
            pause_s = _LIVE_S
        else:
            pause_s = self._health.pause_s(Pace.WANTED if await self._is_wanted() else Pace.IDLE)
        self._next_s = self._agent.clock.monotonic_s() + pause_s
        self._changed.set()

    async def _is_wanted(self) -> bool:
        device = self.device
        if device is None or self._health.verdict is Verdict.ONLINE:
            return False
        try:
            return await self._agent.streams.has_other_users(device)
        except AgentError:
            return False
