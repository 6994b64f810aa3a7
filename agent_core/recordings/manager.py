"""Manager of recordings: starts, watches, resumes and stops them."""

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, StorageFailed
from agent_core.base.events import EventBus
from agent_core.base.locks import KeyedLock
from agent_core.base.models import Camera, CameraId
from agent_core.base.tasks import OwnedTasks
from agent_core.base.waiting import first_of
from agent_core.config import RecordingsConfig
from agent_core.mediamtx.schema import PathConf
from agent_core.recordings.active import Active, final_files, why_cut_short
from agent_core.recordings.growth import Growth, GrowthLimits, Measured
from agent_core.recordings.meter import RECOVERED, RecordingMeter
from agent_core.recordings.models import (
    RecordingFormat,
    RecordingNote,
    RecordingState,
    Stopped,
    StoredRecording,
)
from agent_core.recordings.problems import (
    already_recording,
    no_media,
    not_recording,
    stopped_early,
    stopping,
    suspended,
)
from agent_core.recordings.store import RecordingStore
from agent_core.recordings.unfinished import INTERRUPTED, Unfinished
from agent_core.recordings.upkeep import Notes, measure, withhold
from agent_core.streams import CameraPaths, StreamLeases
from agent_core.streams.models import StreamState
from agent_core.streams.plan import recording_conf

__all__ = ("ENDED_WITH_AGENT", "RecordingManager")

_log = logging.getLogger("camera_agent.recordings")

#: How long to wait for the media server's answer to "stop recording": for a caller, and when the agent ends.
TELL_LIMIT_S, END_LIMIT_S = 5.0, 1.5
HOLDER = "recording"
ENDED_WITH_AGENT = "agent_ended"
SUSPENDED_WITH_AGENT = "agent_stopping"
#: How often a recording into which nothing is written notes that the agent still runs it.
SEEN_S = 300.0


class RecordingManager:
    """At most one recording per camera. The media server records; this class knows what should be recording."""

    def __init__(
        self,
        streams: StreamLeases,
        paths: CameraPaths,
        store: RecordingStore,
        *,
        settings: RecordingsConfig,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._paths = paths
        self._store = store
        self._settings = settings
        self._events = events
        self._clock = clock
        #: By camera; held while its recording starts, ends or is deleted.
        self.locks = KeyedLock()
        self._active: dict[CameraId, Active] = {}
        self.meter = RecordingMeter(self._active)
        self._unfinished = Unfinished(store, events)
        self._is_stopping = False
        self._tasks = OwnedTasks()
        self._notes = Notes(store, self._tasks, clock)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Own the watching tasks until cancelled; then suspend or end all recordings, so that every file is complete."""
        async with self._tasks.open():
            try:
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._is_stopping = True
                with anyio.CancelScope(shield=True):
                    await self._leave_all()

    async def _leave_all(self) -> None:
        end = partial(self._stop_this, reason=ENDED_WITH_AGENT, limit_s=END_LIMIT_S)
        async with anyio.create_task_group() as tg:
            for active in self._active.values():
                tg.start_soon(self._suspend if self._settings.on_stop == "resume" else end, active)

    async def _suspend(self, active: Active) -> None:
        """Stop recording, and leave the note without an end, so that the next start continues the recording."""
        async with self.locks.hold(CameraId(active.note.camera)):
            if self._active.get(CameraId(active.note.camera)) is not active:
                return
            stored = await self._let_go(active, END_LIMIT_S)
            await self._notes.save(active.seen_by(self._clock))
            durations_s = await self._store.threads.run(self._store.segment_durations_s, stored)
            active.measured = Measured(stored.size_bytes, sum(durations_s))
            active.state = RecordingState.SUSPENDED
            self._publish("recording.state", active, SUSPENDED_WITH_AGENT)
            active.decided.set()

    @property
    def under_way(self) -> tuple[Active, ...]:
        return tuple(self._active.values())

    def active(self, camera: CameraId) -> Active | None:
        """Return the camera's recording; None if it is not recording."""
        return self._active.get(camera)

    async def start(
        self, camera: Camera, *, duration_s: float | None, form: RecordingFormat, wait: bool
    ) -> Active:
        """Start a recording; with `wait`, return only when media is on disk.

        `duration_s` counts from the first picture; the recording then stops by itself.

        Raises:
            InvalidState: the camera is already recording, the agent is stopping, or, with `wait`, the recording was
                stopped meanwhile.
            StorageFailed: the recording's folder cannot be made, or the disk is full.
            MediaServerError, Unsupported, CaptureFailed: the media server cannot record it, or does so on another host.
            DependencyFailed: with `wait`, nothing was recorded in time; the attempt leaves no files.
        """
        async with self.locks.hold(camera.id):
            self._refuse_second(camera.id)
            active = await self._begin(camera, duration_s, form)
            with suppress(StorageFailed):
                await self._unfinished.end_waiting(camera.id, INTERRUPTED)
        if wait:
            await active.decided.wait()
            await self._require_media(active)
        return active

    async def _require_media(self, active: Active) -> None:
        """Discard a failed start unless it contains media."""
        if active.has_started:
            return
        problem = active.problem
        if active.state is RecordingState.SUSPENDED:
            raise suspended()
        if problem is None:
            raise stopped_early()
        await self._stop_this(active, reason=problem.reason)
        raise problem

    def _refuse_second(self, camera: CameraId) -> None:
        active = self._active.get(camera)
        if active is not None:
            raise already_recording(camera, active.state)
        self._refuse_while_stopping()

    def _refuse_while_stopping(self) -> None:
        if self._is_stopping:
            raise stopping()

    async def _begin(self, camera: Camera, duration_s: float | None, form: RecordingFormat) -> Active:
        self._paths.plan.require_streamable(camera)
        note = await self._store.threads.run(
            self._store.create, camera.id, form, self._clock.now(), duration_s
        )
        try:
            await self._paths.set_recording(camera, self._conf(note))
            self._refuse_while_stopping()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._undo(camera, note)
            raise
        return self._follow(camera.id, note, Growth(started_s=self._clock.monotonic_s(), **self._limits()))

    def expect(self, *stored: StoredRecording) -> None:
        """Let unfinished recordings wait for `resume` or `close`; meanwhile `stop` or a new recording ends each."""
        self._unfinished.add(*stored)

    def is_expected(self, stored: StoredRecording) -> bool:
        """Return True if the recording waits to continue; until `expect` tells which ones do, all without an end may."""
        return self._unfinished.is_waiting(stored.note)

    async def close(self, stored: StoredRecording, *, reason: str) -> None:
        """End an unfinished recording of an earlier run; do nothing if it has ended, was deleted, or is under way.

        Raises:
            StorageFailed: it cannot be read.
        """
        camera = CameraId(stored.note.camera)
        async with self.locks.hold(camera):
            active = self._active.get(camera)
            if active is None or active.note.id != stored.note.id:
                await self._unfinished.end(stored, reason)

    async def resume(self, camera: Camera, stored: StoredRecording) -> None:
        """Continue a recording that an earlier run of the agent left unfinished, in a new segment.

        Raises:
            InvalidState: the camera is already recording, or this recording has ended meanwhile.
            MediaServerError, Unsupported, CaptureFailed: the media server cannot record it now.
        """
        async with self.locks.hold(camera.id):
            self._refuse_second(camera.id)
            self._paths.plan.require_streamable(camera)
            await self._store.threads.run(self._store.require_place)
            found = await self._unfinished.read(stored)
            if found is None:
                raise not_recording(camera.id)
            await self._paths.set_recording(camera, self._conf(found.note))
            growth = await self._growth_so_far(found)
            self._follow(camera.id, found.note, growth, seen=found.names)

    async def _growth_so_far(self, stored: StoredRecording) -> Growth:
        recorded_s = sum(await self._store.threads.run(self._store.segment_durations_s, stored))
        now_s = self._clock.monotonic_s()
        begun_at = stored.note.first_at or stored.note.started_at
        # The clock may have been set back since the recording began.
        age_s = max(recorded_s, (self._clock.now() - begun_at).total_seconds())
        first_s = now_s - age_s if recorded_s else None
        return Growth(started_s=now_s, size_bytes=stored.size_bytes, first_sample_s=first_s, **self._limits())

    def _limits(self) -> GrowthLimits:
        return {"start_timeout_s": self._settings.start_timeout_s, "stall_s": self._settings.stall_s}

    def _follow(
        self, camera: CameraId, note: RecordingNote, growth: Growth, *, seen: tuple[str, ...] = ()
    ) -> Active:
        now_s = self._clock.monotonic_s()
        active = self._active[camera] = Active(note, growth, noted_s=now_s, seen=seen, flushed=seen[-1:])
        self._unfinished.forget(note)
        self._streams.acquire(camera, HOLDER)
        self._publish("recording.state", active)
        self._tasks.start_soon(self._watch, active)
        return active

    async def _undo(self, camera: Camera, note: RecordingNote) -> None:
        await self._tell_to_stop(camera.id, END_LIMIT_S)
        await self._store.threads.run(self._store.discard, note)

    def _conf(self, note: RecordingNote) -> PathConf:
        return recording_conf(note.format.value, self._store.record_path(note), self._settings)

    async def stop(self, camera: CameraId, *, reason: str = "") -> Stopped:
        """Stop recording and return the result once the last file is final.

        Raises:
            InvalidState: the camera is not recording.
        """
        async with self.locks.hold(camera):
            active = self._active.get(camera)
            if active is not None:
                return await self._finish_shielded(active, reason, TELL_LIMIT_S)
            with anyio.CancelScope(shield=True):
                ended = await self._unfinished.end_waiting(camera, reason or INTERRUPTED)
            if ended is None:
                raise not_recording(camera)
            return ended

    async def _stop_this(self, active: Active, *, reason: str = "", limit_s: float = TELL_LIMIT_S) -> None:
        """Stop this recording, never a later one of the same camera; do nothing if it has ended."""
        camera = CameraId(active.note.camera)
        async with self.locks.hold(camera):
            if self._active.get(camera) is active:
                await self._finish_shielded(active, reason, limit_s)

    async def _finish_shielded(self, active: Active, reason: str, limit_s: float) -> Stopped:
        with anyio.CancelScope(shield=True):
            stopped = await self._finish(active, reason, limit_s)
        return stopped  # noqa: RET504 - mypy: a scope may swallow, so nothing returns inside it

    async def _finish(self, active: Active, reason: str, limit_s: float) -> Stopped:
        _, problem = self._streams.state(CameraId(active.note.camera))
        stored = await self._let_go(active, limit_s)
        reason = reason or await self._store.threads.run(why_cut_short, self._store, active, stored, problem)
        ended_at = self._clock.now()
        note = active.note.model_copy(update={"ended_at": ended_at, "reason": reason})
        await self._notes.save(note)
        durations_s = await self._store.threads.run(self._store.segment_durations_s, stored)
        if not stored.segments:
            await self._store.threads.run(self._store.discard, note)
        active.measured = Measured(stored.size_bytes, sum(durations_s))
        active.state = RecordingState.STOPPED
        self._publish("recording.stop", active, reason)
        active.decided.set()
        return Stopped(replace(stored, note=note), ended_at, tuple(durations_s), reason)

    async def _let_go(self, active: Active, limit_s: float) -> StoredRecording:
        """Forget the recording, tell the media server to stop, and return the final files."""
        camera = CameraId(active.note.camera)
        del self._active[camera]
        active.scope.cancel()
        await self._tell_to_stop(camera, limit_s)
        self._streams.release(camera, HOLDER)
        return await final_files(self._store, active, clock=self._clock)

    async def _tell_to_stop(self, camera: CameraId, limit_s: float) -> None:
        problem = "it did not answer in time"
        with anyio.move_on_after(limit_s):
            try:
                await self._paths.set_recording(self._paths.camera(camera), None)
            except AgentError as error:
                problem = error.details
            else:
                return
        fields = {"camera": camera}
        _log.warning("cannot tell the media server to stop recording: %s", problem, extra={"fields": fields})

    # Watching.

    async def _watch(self, active: Active) -> None:
        """Derive the state from the files until the recording is stopped."""
        with active.scope:
            while True:
                fault = await self._look(active)
                await withhold(self._store, self._paths, active, self._conf(active.note), fault)
                now_s = self._clock.monotonic_s()
                state = active.growth.look(
                    now_s, active.measured, is_down=self._is_down(active), is_lost=fault is not None
                )
                await self._take_over(active, state, fault)
                await self._note_seen(active, now_s)
                left_s = active.growth.left_s(now_s, active.note.duration_s)
                if left_s is not None and left_s <= 0:
                    break
                await self._pause(active, now_s)
        if not active.scope.cancel_called:
            await self._stop_this(active)

    async def _note_seen(self, active: Active, now_s: float) -> None:
        """Save at intervals that the recording is wanted, while its files do not show it."""
        if active.state is RecordingState.RECORDING:
            active.noted_s = now_s
        elif now_s - active.noted_s >= SEEN_S:
            active.noted_s = now_s
            active.note = active.seen_by(self._clock)
            await self._keep_note(active)

    async def _pause(self, active: Active, now_s: float) -> None:
        pause_s = active.growth.pause_s(now_s, active.note.duration_s, is_down=self._is_down(active))
        change = partial(self._streams.wait_change, CameraId(active.note.camera))
        await first_of(partial(self._clock.sleep, pause_s), change)

    def _is_down(self, active: Active) -> bool:
        return self._streams.state(CameraId(active.note.camera))[0] is StreamState.ERROR

    async def _look(self, active: Active) -> AgentError | None:
        """Take over what is on disk; return the fault of the disk, which counts as no growth."""
        try:
            stored, active.measured = await self._store.threads.run(measure, self._store, active.note)
        except AgentError as fault:
            return fault
        if active.notice(stored):
            await self._keep_note(active)
        return None

    async def _keep_note(self, active: Active) -> None:
        """Save the note, unless the recording has been stopped, which saves it for good."""
        camera = CameraId(active.note.camera)
        async with self.locks.hold(camera):
            if self._active.get(camera) is active:
                await self._notes.save(active.note)

    async def _take_over(self, active: Active, state: RecordingState, fault: AgentError | None) -> None:
        is_known = fault is None or (active.problem is not None and active.problem.reason == fault.reason)
        if state is active.state and is_known:
            return
        active.state = state
        if state is RecordingState.ERROR:
            active.problem = fault or await self._why(CameraId(active.note.camera))
            self._publish("recording.error", active, active.problem.reason)
        elif not active.has_started:
            active.has_started = True
            self._publish("recording.start", active)
        else:  # it fails no more
            self._publish("recording.start", active, RECOVERED)
        active.decided.set()
        fields = {"camera": active.note.camera, "recording": active.note.id}
        _log.info("state of the recording: %s", state.value.lower(), extra={"fields": fields})

    async def _why(self, camera: CameraId) -> AgentError:
        _, problem = self._streams.state(camera)
        try:
            return await self._store.threads.run(self._store.why_full) or no_media(problem)
        except StorageFailed as error:
            return error

    def _publish(self, topic: str, active: Active, reason: str = "") -> None:
        self.meter.saw(topic, reason)
        event = active.event(reason)
        self._events.publish(topic, event, camera=event.camera)
