"""End of recordings whose cameras are removed. Apart from the manager, which knows no events of cameras."""

from contextlib import suppress

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.errors import InvalidState, StorageFailed
from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraEvent, CameraId
from agent_core.recordings.manager import RecordingManager

__all__ = ("REMOVED", "end_recordings_of_removed")

#: Reason of a recording whose camera was removed.
REMOVED = "camera_removed"


async def end_recordings_of_removed(
    recordings: RecordingManager, events: EventBus, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    """End the recording of each camera that is removed, until cancelled; its files stay."""
    with events.subscribe(_is_removal) as removals:
        task_status.started()
        while True:
            event = await removals.receive()
            with suppress(InvalidState, StorageFailed):  # it was not recording
                await recordings.stop(CameraId(event.camera or ""), reason=REMOVED)


def _is_removal(event: Event) -> bool:
    return isinstance(event.payload, CameraEvent) and event.payload.camera.removed
