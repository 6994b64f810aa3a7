"""Downloads of recordings, open ones included."""

from agent_core.recordings.store import RecordingStore
from agent_core.web.files import ServedFile

__all__ = ("RecordingFiles",)


class RecordingFiles:
    """A recording's id stands for its first segment, `<id>/<segment>` for any of them; each names the next."""

    def __init__(self, store: RecordingStore) -> None:
        self._store = store

    def resolve(self, name: str) -> ServedFile | None:
        recording_id, _, wanted = name.partition("/")
        names = self._store.segment_names(recording_id)
        if not names or (wanted and wanted not in names):
            return None
        at = names.index(wanted) if wanted else 0
        following = f"{recording_id}/{names[at + 1]}" if at + 1 < len(names) else None
        camera = recording_id.partition("_")[0]
        return ServedFile(self._store.root, f"{camera}/{recording_id}/{names[at]}", following)
