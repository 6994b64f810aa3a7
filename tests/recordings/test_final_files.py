"""Final files of a recording whose media server closes them while the agent looks."""

from datetime import UTC, datetime
from pathlib import Path

from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId
from agent_core.media.fmp4 import is_finished
from agent_core.recordings.active import Active, final_files
from agent_core.recordings.growth import Growth
from agent_core.recordings.models import RecordingFormat, RecordingNote, StoredRecording
from agent_core.recordings.store import RecordingStore
from tests.media.files import torn_at


class ClosedAfterALook(RecordingStore):
    """Store in which the media server writes its last part, and the header's duration, right after the first look."""

    looks = 0

    def read(self, note: RecordingNote) -> StoredRecording:
        stored = super().read(note)
        self.looks += 1
        if self.looks == 1:
            (segment,) = stored.segments
            data = bytearray(segment.path.read_bytes() + b"last part")
            at = data.index(b"mvhd") + 4
            data[at + 16 : at + 20] = (1500).to_bytes(4, "big")
            segment.path.write_bytes(data)
            assert is_finished(segment.path)
        return stored


async def test_a_part_that_is_written_between_two_looks_counts(tmp_path: Path) -> None:
    store = ClosedAfterALook(tmp_path)
    note = store.create(CameraId("camera0"), RecordingFormat.FMP4, datetime.now(UTC))
    path = store.folder(note) / "2026-11-22_10-00-00-000000Z.mp4"
    await torn_at(path, b"moof", 3, 0)
    active = Active(note, Growth(started_s=0, start_timeout_s=1, stall_s=1), 0)
    stored = await final_files(store, active, clock=SystemClock())
    assert stored.size_bytes == path.stat().st_size
