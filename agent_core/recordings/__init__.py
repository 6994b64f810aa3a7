"""Recordings: started by one hot change of a path, confirmed by bytes on disk, watched while they grow."""

from agent_core.recordings.manager import ENDED_WITH_AGENT, RecordingManager

__all__ = ("ENDED_WITH_AGENT", "RecordingManager")
