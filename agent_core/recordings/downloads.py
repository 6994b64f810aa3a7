"""Names of recordings as downloads."""

from agent_core.media.downloads import ServedFile
from agent_core.recordings.store import RecordingStore

__all__ = ("RecordingFiles",)


class RecordingFiles:
    """Maps a recording's id to its first segment, and `<id>/<segment>` to that segment; each names the next one."""

    def __init__(self, store: RecordingStore) -> None:
        self._store = store

    def resolve(self, name: str) -> ServedFile | None:
        """Return the segment that `name` stands for; None if there is none. Blocks on the disk."""
        recording_id, _, wanted = name.partition("/")
        names = self._store.segment_names(recording_id)
        if not names or (wanted and wanted not in names):
            return None
        at = names.index(wanted) if wanted else 0
        following = f"{recording_id}/{names[at + 1]}" if at + 1 < len(names) else None
        camera = recording_id.partition("_")[0]
        return ServedFile(self._store.root, f"{camera}/{recording_id}/{names[at]}", following)
