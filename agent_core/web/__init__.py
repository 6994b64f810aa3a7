"""What the port serves over plain HTTP: files, health, metrics. `agent_core.web.app` has the routes and the framework."""

from agent_core.auth.links import DownloadLinks
from agent_core.web.files import DirectoryFiles, FileResolver, ServedFile
from agent_core.web.first_request import MadeAtFirstRequest
from agent_core.web.recordings import RecordingFiles

__all__ = (
    "DirectoryFiles",
    "DownloadLinks",
    "FileResolver",
    "MadeAtFirstRequest",
    "RecordingFiles",
    "ServedFile",
)
