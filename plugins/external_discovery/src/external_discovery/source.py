"""Source of the added streams: keeps them over restarts, adds and removes them, and owns their cameras' tasks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    CameraReport,
    CameraSource,
    CaptureFailed,
    DependencyFailed,
    InvalidState,
    NotFound,
)
from external_discovery.camera import SOURCE, Prober, StreamCamera
from external_discovery.policy import Pinned
from external_discovery.probe import Probe, ProbeOutcome
from external_discovery.streams import AddedStream, StreamFiles

__all__ = ("ExternalSource",)

_log = logging.getLogger("camera_agent.external_discovery")

#: Longest wait for the first look at all streams, before the agent counts this source as ready.
_FIRST_LOOK_S = 6.0
#: Pause before a stream whose task failed, by a fault of this plugin, is watched again.
_FAULT_PAUSE_S = 60.0
_SUGGESTIONS = {
    ProbeOutcome.NEEDS_CREDENTIALS: "Give the user and the password of the camera.",
    ProbeOutcome.WRONG_CREDENTIALS: "Check user and password; cameras lock accounts after a few wrong ones.",
    ProbeOutcome.NOT_FOUND: "Check the path; the camera's manual has it.",
    ProbeOutcome.REDIRECTED: "Give the address that the camera redirects to, if you trust it.",
    ProbeOutcome.NOT_RTSP: "Check the port, and that the camera's RTSP server is switched on.",
}
_OTHERWISE = "Check that the camera is on and that this host reaches it, or add it with verify = false."


class ExternalSource(CameraSource):
    """Source of network cameras. `watch` owns their tasks; `add` and `remove` work while it runs.

    Args:
        agent: the agent.
        prober: looks at streams.
        files: the stored streams.
        configured: returns the streams of the configuration; may block on small files.
        most: number of streams that may be added.
    """

    def __init__(
        self,
        agent: AgentContext,
        prober: Prober,
        files: StreamFiles,
        configured: Callable[[], Sequence[AddedStream]],
        *,
        most: int,
    ) -> None:
        self._agent = agent
        self._prober = prober
        self._files = files
        self._configured = configured
        self._most = most
        self._cameras: dict[str, StreamCamera] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._tasks: TaskGroup | None = None
        self._report: CameraReport | None = None
        self._changing = anyio.Lock()
        self._reconfigured = anyio.Event()

    @property
    def name(self) -> str:
        return SOURCE

    def cameras(self) -> tuple[StreamCamera, ...]:
        """Return the cameras of all streams, in the order of adding."""
        return tuple(self._cameras.values())

    async def watch(self, report: CameraReport, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Bring the stored and the configured streams back, and watch all until cancelled."""
        stored = await self._files.load()
        configured = await anyio.to_thread.run_sync(self._configured)
        for problem in self._files.problems:
            _log.error("%s", problem)
        async with anyio.create_task_group() as tasks:
            self._tasks, self._report = tasks, report
            tasks.start_soon(self._follow_configuration)
            try:
                for stream in {each.url: each for each in (*stored, *configured)}.values():
                    self._start(stream)
                with anyio.move_on_after(_FIRST_LOOK_S):
                    for camera in self.cameras():
                        await camera.seen.wait()
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tasks = self._report = None
                for camera in self._cameras.values():
                    camera.retire()
                self._cameras.clear()
                self._scopes.clear()

    async def add(self, stream: AddedStream, *, verify: bool) -> StreamCamera:
        """Add a stream and return its camera, which has its id.

        Args:
            stream: the stream.
            verify: look at it first, and refuse it if it cannot be opened.

        Raises:
            AddressRefused: the policy refuses its address.
            CaptureFailed: its name does not resolve; with `verify`, also: it cannot be opened.
            InvalidState: it was added already, or its name is taken, there are too many, or the source does not run.
            DependencyFailed: it cannot be stored.
        """
        self._require_new(stream)
        pinned = await self._prober.pin(stream.address)
        found = await self._tried(stream, pinned) if verify else None
        async with self._changing:
            self._require_new(stream)
            await self._files.save((*self._streams(), stream))
            self._require_running()  # it may have ended meanwhile; the stream comes with its next start
            camera = self._start(stream)
            camera.begin(pinned, found)
            return camera

    async def remove(self, url: str) -> AddedStream:
        """Remove the stream at this public address; its recordings and snapshots stay.

        Raises:
            NotFound: no such stream was added.
            InvalidState: it is one of the configuration, or the source does not run.
            DependencyFailed: the change cannot be stored.
        """
        async with self._changing:
            self._require_running()
            camera = self._cameras.get(url)
            if camera is None:
                raise NotFound(
                    "No stream with this address was added.",
                    resource="external_stream",
                    id=url,
                    suggestion="Call get_external_streams for the streams that were.",
                )
            if camera.stream.is_configured:
                raise InvalidState(
                    f"The stream {camera.stream.name} is one of the agent's configuration.",
                    state="CONFIGURED",
                    allowed_states=("ADDED",),
                    reason="configured_stream",
                    suggestion="Remove its table [[plugins.external_discovery.streams]] and run `camera-agent reload`.",
                )
            await self._files.save(tuple(each for each in self._streams() if each.url != url))
            self._drop(url)
            camera.end("It was removed.")
            return camera.stream

    def reconfigure(self, *, most: int) -> None:
        """Take over another limit, and soon the streams that the configuration has now."""
        self._most = most
        self._reconfigured.set()

    async def _follow_configuration(self) -> None:
        while True:
            await self._reconfigured.wait()
            self._reconfigured = anyio.Event()
            try:
                configured = await anyio.to_thread.run_sync(self._configured)
            except DependencyFailed as error:
                _log.error("the streams stay as they were: %s %s", error.details, error.suggestion)
                continue
            async with self._changing:
                self._take_over({each.url: each for each in configured})

    def _take_over(self, wanted: Mapping[str, AddedStream]) -> None:
        """End the configured streams that are not in `wanted`, and begin those in it that are new or different.

        A camera that goes on under its id is not reported as removed, so that its recording goes on, too.
        """
        for url, camera in list(self._cameras.items()):
            if camera.stream.is_configured and url not in wanted:
                self._drop(url)
                camera.end("It was removed from the configuration.")
        for url, stream in wanted.items():
            former = self._cameras.get(url)
            if former is None:
                self._start(stream)
                continue
            kept = replace(stream, added_at=former.stream.added_at)
            if kept != former.stream:
                self._drop(url)
                former.retire()
                self._start(kept)

    def _drop(self, url: str) -> None:
        self._cameras.pop(url, None)
        if scope := self._scopes.pop(url, None):  # none if the source has ended meanwhile
            scope.cancel()

    def _start(self, stream: AddedStream) -> StreamCamera:
        assert self._tasks is not None  # noqa: S101 - the callers have checked it
        assert self._report is not None  # noqa: S101 - it comes with the tasks
        camera = self._cameras[stream.url] = StreamCamera(stream, self._prober, self._agent, self._report)
        scope = self._scopes[stream.url] = anyio.CancelScope()
        self._tasks.start_soon(self._watch, camera, scope)
        return camera

    async def _watch(self, camera: StreamCamera, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    await camera.watch()
                except Exception:  # noqa: BLE001 - a fault of one camera must not end the others
                    _log.exception("the stream %s cannot be watched", camera.stream.name)
                await self._agent.clock.sleep(_FAULT_PAUSE_S)

    async def _tried(self, stream: AddedStream, pinned: Pinned) -> Probe:
        found = await self._prober.look(pinned, stream.credentials)
        if found.outcome is not ProbeOutcome.STREAM:
            raise CaptureFailed(
                found.details,
                reason=found.outcome.value,
                suggestion=_SUGGESTIONS.get(found.outcome, _OTHERWISE),
            )
        return found

    def _streams(self) -> tuple[AddedStream, ...]:
        return tuple(each.stream for each in self._cameras.values())

    def _require_running(self) -> None:
        if self._tasks is None:
            raise InvalidState(
                "The source of external streams is not running.",
                state="STOPPED",
                allowed_states=("RUNNING",),
                reason="source_not_running",
                suggestion="Wait a moment and try again; get_status and the log show why it does not run.",
            )

    def _require_new(self, stream: AddedStream) -> None:
        self._require_running()
        if stream.url in self._cameras:
            raise _taken("A stream with this address was added already.", "stream_exists")
        if any(each.stream.name.casefold() == stream.name.casefold() for each in self._cameras.values()):
            raise _taken("Another external stream has this name.", "name_taken")
        if sum(not each.stream.is_configured for each in self._cameras.values()) >= self._most:
            raise InvalidState(
                f"There are {self._most} external streams, which is the limit.",
                state="FULL",
                allowed_states=("READY",),
                reason="too_many_streams",
                suggestion="Remove one, or raise plugins.external_discovery.max_streams.",
            )


def _taken(details: str, reason: str) -> InvalidState:
    return InvalidState(
        details,
        state="ADDED",
        allowed_states=("DISCOVERED", "UNKNOWN"),
        reason=reason,
        suggestion="get_external_streams lists the streams; remove the other one first, or choose another name.",
    )
