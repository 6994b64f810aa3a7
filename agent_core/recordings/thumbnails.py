"""Thumbnails of recordings: a plugin decodes the first key frame of the first segment.

Apart from the store, which knows nothing of pictures.
"""

import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.containment import contained, describe
from agent_core.base.errors import AgentError, CaptureFailed, Unsupported
from agent_core.base.field_rules import kind_of
from agent_core.base.files import explain_os_error
from agent_core.base.workers import WorkerPool
from agent_core.media.downloads import ServedFile, open_beneath
from agent_core.media.thumbnails import Original
from agent_core.plugin import RecordingStills, StillRequest
from agent_core.recordings.problems import no_recording
from agent_core.recordings.shelf import NOTE
from agent_core.recordings.store import RecordingStore

__all__ = ("Decoding", "RecordingOriginals")

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoder of recordings with its limits.

    Attributes:
        stills: a plugin's decoder; None if no plugin has one.
        scaled: encodes a JPEG anew as a thumbnail; raises AgentError.
        width: width of a thumbnail in pixels.
        max_pixels: most pixels of a picture that may be decoded.
    """

    stills: RecordingStills | None
    scaled: Callable[[bytes], Awaitable[bytes]]
    width: int
    max_pixels: int


class RecordingOriginals:
    """Stored recordings as originals of thumbnails, also those under way."""

    def __init__(self, store: RecordingStore, decoding: Decoding) -> None:
        self._store = store
        self._decoding = decoding
        self._threads = WorkerPool(_THREADS)

    @property
    def can_make(self) -> bool:
        """False without a plugin that decodes recordings."""
        return self._decoding.stills is not None

    async def find(self, name: str) -> Original:
        """Open the first segment. Raises NotFound, StorageFailed or Unsupported."""
        stored = await self._store.find(name)
        note, segments = stored.note, stored.segments
        if not segments:
            raise no_recording(name)
        item = f"{note.camera}/{note.id}"
        served = ServedFile(self._store.root, f"{item}/{segments[0].name}")
        try:
            opened = await self._threads.run(open_beneath, served)
        except OSError as error:
            raise explain_os_error(error, "open a recording") from error
        if opened is None:  # deleted meanwhile
            raise no_recording(name)
        return Original(item, opened, served.suffix, note.ended_at is None and len(segments) == 1)

    async def make(self, original: Original) -> bytes:
        """Decode the first key frame and scale it. Raises AgentError."""
        decoding = self._decoding
        if decoding.stills is None:
            raise Unsupported(
                "No plugin decodes recordings.",
                feature="thumbnails",
                reason="no_decoder",
                suggestion="Enable the plugin ffmpeg_tier.",
            )
        os.lseek(original.opened.fd, 0, os.SEEK_SET)
        request = StillRequest(original.opened.fd, original.suffix, decoding.width, decoding.max_pixels)
        return await decoding.scaled(await _decoded(decoding.stills, request))

    def remaining(self, items: Sequence[str]) -> Collection[str]:
        """Return those of the recordings that exist. Blocks on the disk. Raises StorageFailed."""
        try:
            self._store.require_local()
            found = {each for each in items if _is_there(self._store.root / each / NOTE)}
            self._store.require_local()  # a vanished disk looks like an empty folder
        except Unsupported:  # the media server is not known yet, or elsewhere now
            return items
        except OSError as error:
            raise explain_os_error(error, "read the recordings") from error
        return found


async def _decoded(stills: RecordingStills, request: StillRequest) -> bytes:
    """Return the JPEG of a plugin's decoder, which may raise or return anything. Raises AgentError."""
    try:
        with contained("The decoder of recordings"):
            data: object = await stills.first(request)
    except AgentError:
        raise
    except Exception as error:
        raise CaptureFailed(
            f"The decoder of recordings failed: {describe(error)}.", reason="decoder_failed"
        ) from error
    if not isinstance(data, bytes):
        raise CaptureFailed(
            f"The decoder of recordings returned {kind_of(data)} instead of bytes.", reason="decoder_failed"
        )
    return data


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
