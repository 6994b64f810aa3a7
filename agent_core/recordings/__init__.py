"""Recordings: started by one change to a media server path, confirmed by bytes on disk, watched while they grow."""

from agent_core.recordings.manager import RecordingManager
from agent_core.recordings.models import RecordingState
from agent_core.recordings.store import RecordingStore

__all__ = ("RecordingManager", "RecordingState", "RecordingStore")
