"""The newest recordings of each camera, found by their names.

Apart from the store, whose lists read every note: with 100,000 recordings that takes half a minute.
"""

import heapq
import os
from contextlib import suppress
from pathlib import Path

from agent_core.base.errors import NotFound, Unsupported
from agent_core.base.files import explain_os_error
from agent_core.media.entries import camera_folders
from agent_core.recordings.models import StoredRecording
from agent_core.recordings.shelf import RECORDING_ID
from agent_core.recordings.store import RecordingStore

__all__ = ("NEWEST", "newest")

#: Recordings of each camera that are read.
NEWEST = 50


async def newest(store: RecordingStore, count: int = NEWEST) -> tuple[list[StoredRecording], bool]:
    """Return up to `count` recordings of each camera, newest first; and True if there are no others.

    The order is that of lists: an id holds the time of the start.

    Raises:
        StorageFailed: the folder cannot be read, or the disk is not there.
    """
    ids, are_all = await store.threads.run(_newest_ids, store, count)
    found: list[StoredRecording] = []
    for each in ids:
        with suppress(NotFound, Unsupported):  # deleted meanwhile, or no recording
            found.append(await store.find(each))
    found.sort(key=lambda stored: (stored.note.started_at, stored.note.id), reverse=True)
    return found, are_all


def _newest_ids(store: RecordingStore, count: int) -> tuple[list[str], bool]:
    with suppress(Unsupported):  # the media server records elsewhere
        store.require_local()
    ids: list[str] = []
    are_all = True
    try:
        for folder in camera_folders(store.root):
            names = _ids_in(Path(folder))
            are_all &= len(names) <= count
            ids += heapq.nlargest(count, names)
    except FileNotFoundError:
        return [], True
    except OSError as error:
        raise explain_os_error(error, "list the recordings") from error
    return ids, are_all


def _ids_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [each.name for each in entries if RECORDING_ID.fullmatch(each.name)]
    except FileNotFoundError:  # deleted meanwhile
        return []
