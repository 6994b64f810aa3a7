"""Notes with the pictures of a coded video that tell when each was taken, as opaque additionals of Matroska blocks.

The times of a stream have to increase and may not lag, so those of a backlog are squeezed. A still is dated by its note.
Players do not see it. libav gives it out as side data (`matroska_block_additional`, after eight bytes of its ID) if the
track has a mapping of the ID and the opaque type (RFC 9559, 5.1.4.1.17).
Apart from `matroska`, so that tests of its readers make the same notes without a server.
"""

import json

from agent_core.base.models import CapturedAtSource, Settlement

__all__ = ("capture_note",)


def capture_note(
    captured_s: float,
    source: CapturedAtSource,
    *,
    settled: bool = True,
    settlement: Settlement | None = None,
) -> bytes:
    """Return the note of a picture; the fields are those of `Frame`. Times are in microseconds of the monotonic clock."""
    note: dict[str, object] = {"captured_us": int(captured_s * 1e6), "source": source, "settled": settled}
    if settlement is not None:
        note |= {"settled_by": settlement.by, "settled_after_s": settlement.after_s}
    return json.dumps(note, separators=(",", ":")).encode()
