"""Changes of cameras' controls by clients: one at a time for each camera, completed even if the client leaves."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.controls import (
    ChangedControls,
    ControlChange,
    ControlPanel,
    ControlStatus,
    ControlValue,
    kept_after,
)
from agent_core.base.errors import AgentError, CaptureFailed, InvalidState, StorageFailed, Unsupported
from agent_core.base.events import EventBus
from agent_core.base.models import Camera, CameraId, CameraStatus, ControlCause, ControlsEvent
from agent_core.base.tasks import OwnedTasks
from agent_core.cameras.kept_controls import KeptControls
from agent_core.cameras.registry import CameraRegistry
from agent_core.cameras.reports import checked_controls

__all__ = ("CameraControls", "SetControls")

_log = logging.getLogger("camera_agent.cameras")

#: Longest change: several times the 5 s that the kernel allows a USB camera for an answer.
CHANGE_S = 30.0


@dataclass(frozen=True, slots=True)
class SetControls:
    """Result of a change. `is_stored`: what is kept will survive a restart of the agent."""

    changed: ChangedControls
    is_stored: bool


@dataclass(slots=True)
class _Job:
    """Change that a task of the service makes; the caller waits for `done`."""

    camera: CameraId
    change: ControlChange
    done: anyio.Event = field(default_factory=anyio.Event)
    result: SetControls | None = None
    error: AgentError | None = None


class CameraControls:
    """Sets controls through the panels of the cameras' sources, and keeps the values.

    `run` owns the changes: a client that leaves ends its wait, not the change, which the device has begun.

    Args:
        cameras: the cameras with their panels.
        kept: the kept values, which the registry gives to the panels.
        events: receives `camera.controls`.
        clock: times the attempts to store.
        longest_s: limit of one change, after which the panel counts as silent.
    """

    def __init__(
        self,
        cameras: CameraRegistry,
        kept: KeptControls,
        *,
        events: EventBus,
        clock: Clock,
        longest_s: float = CHANGE_S,
    ) -> None:
        self._cameras = cameras
        self._kept = kept
        self._events = events
        self._clock = clock
        self._longest_s = longest_s
        self._tasks = OwnedTasks()
        self._locks: dict[CameraId, anyio.Lock] = {}

    @property
    def problem(self) -> StorageFailed | None:
        """Error that keeps the kept values from being stored; None if there is none."""
        return self._kept.problem

    def kept(self, camera: CameraId) -> Mapping[str, ControlValue]:
        """Return the values that are kept for a camera."""
        return self._kept.of(camera)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Make changes and store the kept values until cancelled."""
        async with self._tasks.open() as tasks:
            tasks.start_soon(self._kept.keep_saved, self._clock)
            task_status.started()
            await anyio.sleep_forever()

    async def change(self, camera: CameraId, change: ControlChange) -> SetControls:
        """Change a camera's controls, after the changes that were asked for before, and keep the new values.

        Raises:
            NotFound: there is no such camera.
            InvalidState: the camera is not connected.
            Unsupported: its source sets no controls.
            CaptureFailed: the camera went away, cannot be opened or does not answer; no value is kept.
        """
        _panel_of(self._cameras.get(camera))
        job = _Job(camera, change)
        self._tasks.start_soon(self._work, job)
        await job.done.wait()
        if job.result is None:
            raise job.error or RuntimeError("the change ended without a result")
        return job.result

    async def _work(self, job: _Job) -> None:
        try:
            async with self._locks.setdefault(job.camera, anyio.Lock()):
                changed = await self._changed(job.camera, job.change)
            job.result = SetControls(changed, await self._kept.wait_saved())
        except AgentError as error:
            job.error = error
        finally:
            job.done.set()

    async def _changed(self, camera_id: CameraId, change: ControlChange) -> ChangedControls:
        camera = self._cameras.get(camera_id)  # it may have been plugged in again while this waited
        panel = _panel_of(camera)
        with self._kept.changing(camera_id, panel):
            changed = await self._asked(camera, panel, change)
            self._kept.put(camera_id, kept_after(self._kept.of(camera_id), change, changed.outcomes))
        self._cameras.controls_read(camera_id, changed.controls)
        effective = tuple(each for each in changed.outcomes if each.status is not ControlStatus.REFUSED)
        if effective:
            cause = ControlCause.RESET if change.reset else ControlCause.SET
            self._events.publish(
                "camera.controls", ControlsEvent(camera_id, effective, cause), camera=camera_id
            )
        return changed

    async def _asked(self, camera: Camera, panel: ControlPanel, change: ControlChange) -> ChangedControls:
        """Return the panel's checked answer; a panel is foreign code."""
        source = camera.detected.fingerprint.source
        try:
            with anyio.move_on_after(self._longest_s), contained(f"The source {source}"):
                return checked_controls(source, await panel.change(change))
        except AgentError:
            raise
        except Exception as error:
            _log.exception("the change of controls failed", extra={"fields": {"camera": camera.id}})
            raise CaptureFailed(
                f"The source of {camera.id} failed to set its controls: {type(error).__name__}.",
                reason="source_error",
                suggestion="Tell the plugin's author; the agent's log has the error.",
            ) from error
        raise CaptureFailed(
            f"{camera.id} did not answer for {self._longest_s:g} s.",
            reason="control_silent",
            suggestion="Unplug the camera and plug it in again.",
        )


def _panel_of(camera: Camera) -> ControlPanel:
    """Return the access to a camera's controls. Raises InvalidState or Unsupported."""
    if camera.status is CameraStatus.DISCONNECTED:
        raise InvalidState(
            f"{camera.id} is not connected, so its controls cannot be set.",
            state=camera.status.value,
            allowed_states=(CameraStatus.CONNECTED.value, CameraStatus.ERROR.value),
            reason="not_connected",
            suggestion="Connect the camera; kept values are set again then.",
        )
    if camera.detected.panel is None:
        raise Unsupported(
            f"The controls of {camera.id} cannot be set.",
            feature="camera_controls",
            reason="no_controls",
            suggestion="Set them in the camera itself.",
        )
    return camera.detected.panel
