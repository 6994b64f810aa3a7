"""What the port serves over plain HTTP: files, health, metrics."""

from agent_core.web.app import Gate, web_app
from agent_core.web.files import DirectoryFiles, FileResolver, ServedFile
from agent_core.web.links import DownloadLinks
from agent_core.web.recordings import RecordingFiles

__all__ = (
    "DirectoryFiles",
    "DownloadLinks",
    "FileResolver",
    "Gate",
    "RecordingFiles",
    "ServedFile",
    "web_app",
)
