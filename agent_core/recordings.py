"""Recordings: started by one hot change of a path, confirmed by bytes on disk, watched while they grow."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.clock import Clock
from agent_core.config import RecordingsConfig
from agent_core.errors import AgentError, InvalidState, MediaServerError
from agent_core.events import EventBus
from agent_core.locks import KeyedLock
from agent_core.mediamtx.schema import PathConf
from agent_core.models import Camera, CameraId, RecordingEvent, RecordingState
from agent_core.recording_files import RecordingFormat, RecordingNote, RecordingStore, StoredRecording
from agent_core.recording_growth import Growth, Measured, no_media
from agent_core.streams import StreamManager

__all__ = ("Active", "RecordingManager", "Stopped")

_log = logging.getLogger("camera_agent.recordings")

#: Between two looks at the files: until the first picture, soon after, and from then on.
EAGER_S, STEADY_S = 0.05, 2.0
EAGER_FOR_S = 3.0
#: A segment is final when two looks this far apart see the same size, and at the latest after FINAL_LIMIT_S.
FINAL_LOOK_S, FINAL_LIMIT_S = 0.01, 1.0
#: What ending all recordings may take when the agent ends.
END_LIMIT_S = 2.5
HOLDER = "recording"


@dataclass
class Active:
    """A recording that goes on. `state` and `reason` are what is known from its files."""

    note: RecordingNote
    duration_s: float | None
    growth: Growth
    state: RecordingState = RecordingState.STARTING
    problem: AgentError | None = None
    measured: Measured = field(default_factory=Measured)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    decided: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A recording that has ended, with the durations (seconds) of its segments; `reason` where it is not as asked."""

    stored: StoredRecording
    ended_at: datetime
    durations_s: tuple[float, ...]
    reason: str


class RecordingManager:
    """At most one recording a camera. What records is the media server; that something should is known here."""

    def __init__(
        self,
        streams: StreamManager,
        store: RecordingStore,
        *,
        settings: RecordingsConfig,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._store = store
        self._settings = settings
        self._events = events
        self._clock = clock
        self._locks = KeyedLock()
        self._active: dict[CameraId, Active] = {}
        self._tg: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Own the watching tasks until cancelled; then end what still records, so that every file is whole."""
        async with anyio.create_task_group() as tg:
            self._tg = tg
            try:
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tg = None
                with anyio.move_on_after(END_LIMIT_S, shield=True):
                    await self._end_all()

    async def _end_all(self) -> None:
        for active in tuple(self._active.values()):
            try:
                await self.stop(CameraId(active.note.camera), reason="agent_ended")
            except AgentError as error:
                _log.warning("%s", error.details, extra={"fields": {"camera": active.note.camera}})

    def active(self, camera: CameraId) -> Active | None:
        """The camera's recording, if one goes on."""
        return self._active.get(camera)

    async def start(
        self, camera: Camera, *, duration_s: float | None, form: RecordingFormat, wait: bool
    ) -> Active:
        """Start recording; with `wait` return only when bytes are on disk.

        `duration_s` counts from the first picture; the recording then stops by itself.

        Raises:
            InvalidState: the camera is recording already.
            StorageFailed: its folder cannot be made.
            MediaServerError, Unsupported, CaptureFailed: the media server cannot record it.
        """
        async with self._locks.hold(camera.id):
            self._refuse_second(camera.id)
            active = await self._begin(camera, duration_s, form)
        if wait:
            await active.decided.wait()
            if active.state is RecordingState.ERROR and active.problem is not None:
                await self.stop(camera.id, reason=active.problem.reason)
                raise active.problem
        return active

    def _refuse_second(self, camera: CameraId) -> None:
        if camera in self._active:
            raise InvalidState(
                f"{camera} is recording already.",
                state=self._active[camera].state.value,
                allowed_states=("IDLE",),
                reason="already_recording",
                suggestion="Stop it first, or leave it recording.",
            )

    async def _begin(self, camera: Camera, duration_s: float | None, form: RecordingFormat) -> Active:
        self._streams.command(camera)  # what cannot be published is refused before anything is made
        now = self._clock.now()
        note = await anyio.to_thread.run_sync(self._store.create, camera.id, form, now)
        try:
            await self._streams.set_recording(camera, self._conf(note))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._undo(camera, note)
            raise
        self._streams.acquire(camera.id, HOLDER)
        growth = Growth(
            started_s=self._clock.monotonic_s(),
            start_timeout_s=self._settings.start_timeout_s,
            stall_s=self._settings.stall_s,
        )
        active = self._active[camera.id] = Active(note, duration_s, growth)
        self._publish("recording.state", active)
        assert self._tg is not None, "start outside run"  # noqa: S101 - wiring
        self._tg.start_soon(self._watch, active)
        return active

    async def _undo(self, camera: Camera, note: RecordingNote) -> None:
        try:
            await self._streams.set_recording(camera, None)
        except AgentError as error:
            _log.info("nothing to undo at the media server: %s", error.details)
        await anyio.to_thread.run_sync(self._store.discard, note)

    def _conf(self, note: RecordingNote) -> PathConf:
        return PathConf(
            record=True,
            record_path=self._store.record_path(note),
            record_format=note.format.value,
            record_part_duration_s=self._settings.part_duration_s,
            record_segment_duration_s=self._settings.segment_duration_s,
            record_delete_after_s=0,
        )

    async def stop(self, camera: CameraId, *, reason: str = "") -> Stopped:
        """Stop recording and return what there is, once the last file is final.

        Raises:
            InvalidState: the camera is not recording.
        """
        async with self._locks.hold(camera):
            active = self._active.pop(camera, None)
            if active is None:
                raise InvalidState(
                    f"{camera} is not recording.",
                    state="IDLE",
                    allowed_states=("STARTING", "RECORDING", "ERROR"),
                    reason="not_recording",
                    suggestion="Start a recording first.",
                )
            with anyio.CancelScope(shield=True):
                stopped = await self._finish(active, camera, reason)
            return stopped  # noqa: RET504 - mypy: a scope may swallow, so nothing returns inside it

    async def _finish(self, active: Active, camera: CameraId, reason: str) -> Stopped:
        active.scope.cancel()
        active.decided.set()
        try:
            await self._streams.set_recording(self._streams.camera(camera), None)
        except (MediaServerError, InvalidState) as error:
            _log.warning(
                "the media server was not told to stop: %s",
                error.details,
                extra={"fields": {"camera": camera}},
            )
        self._streams.release(camera, HOLDER)
        stored = await self._final(active.note)
        reason = reason or ("" if stored.segments else no_media(active.problem).reason)
        note = active.note.model_copy(update={"ended_at": self._clock.now(), "reason": reason})
        await anyio.to_thread.run_sync(self._store.save, note)
        durations_s = await anyio.to_thread.run_sync(self._store.segment_durations_s, stored)
        active.measured = Measured(stored.size_bytes, sum(durations_s))
        active.state = RecordingState.STOPPED
        self._publish("recording.stop", active, reason)
        assert note.ended_at is not None  # noqa: S101 - set above
        return Stopped(
            StoredRecording(note, stored.folder, stored.segments), note.ended_at, tuple(durations_s), reason
        )

    async def _final(self, note: RecordingNote) -> StoredRecording:
        """The files, when the media server, which answers before it has closed them, is done with them."""
        ends_s = self._clock.monotonic_s() + FINAL_LIMIT_S
        stored = await anyio.to_thread.run_sync(self._store.read, note)
        while self._clock.monotonic_s() < ends_s:
            await self._clock.sleep(FINAL_LOOK_S)
            again = await anyio.to_thread.run_sync(self._store.read, note)
            if [each.size_bytes for each in again.segments] == [each.size_bytes for each in stored.segments]:
                return again
            stored = again
        return stored

    # Watching.

    async def _watch(self, active: Active) -> None:
        """Look at the files until the recording is stopped; what they show is its state."""
        with active.scope:
            while True:
                active.measured = await anyio.to_thread.run_sync(self._measure, active.note)
                now_s = self._clock.monotonic_s()
                self._take_over(active, active.growth.look(now_s, active.measured))
                left_s = active.growth.left_s(now_s, active.duration_s)
                if left_s is not None and left_s <= 0:
                    break
                await self._pause(active, now_s, left_s)
        if not active.scope.cancel_called:
            await self._stop_at_deadline(active)

    async def _pause(self, active: Active, now_s: float, left_s: float | None) -> None:
        eager = active.state is not RecordingState.RECORDING and active.growth.age_s(now_s) < EAGER_FOR_S
        pause_s = min(EAGER_S if eager else STEADY_S, left_s if left_s is not None else STEADY_S)
        with anyio.move_on_after(pause_s):
            await self._clock.sleep(pause_s)

    async def _stop_at_deadline(self, active: Active) -> None:
        try:
            await self.stop(CameraId(active.note.camera))
        except AgentError as error:
            _log.error("the recording was not stopped: %s", error.details)

    def _measure(self, note: RecordingNote) -> Measured:
        stored = self._store.read(note)
        return Measured(stored.size_bytes, sum(self._store.segment_durations_s(stored)))

    def _take_over(self, active: Active, state: RecordingState) -> None:
        if state is active.state:
            return
        was, active.state = active.state, state
        if state is RecordingState.ERROR:
            _, problem = self._streams.state(CameraId(active.note.camera))
            active.problem = no_media(problem, free_bytes=self._store.free_bytes())
            self._publish("recording.error", active, active.problem.reason)
        elif was is RecordingState.STARTING:
            self._publish("recording.start", active)
        else:
            self._publish("recording.state", active)
        active.decided.set()
        fields = {"camera": active.note.camera, "recording": active.note.id}
        _log.info("the recording is %s", state.value.lower(), extra={"fields": fields})

    def _publish(self, topic: str, active: Active, reason: str = "") -> None:
        self._events.publish(
            topic,
            RecordingEvent(
                CameraId(active.note.camera), active.note.id, active.state, active.measured.duration_s, reason
            ),
        )
