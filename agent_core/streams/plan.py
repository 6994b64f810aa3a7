"""Plan of a camera's path: the publisher, the process that runs it, and the path's configuration."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from agent_core.base.errors import AgentError, CaptureFailed, Unsupported
from agent_core.base.models import Camera, CameraStatus, FrameSocket, MediaInput, Url
from agent_core.config import MediaServerConfig, RecordingsConfig
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import Publisher
from agent_core.streams.models import PublishMode
from agent_core.streams.publishers.progress import PublisherProgress

__all__ = (
    "PathPlan",
    "no_media_input",
    "no_publisher",
    "path_conf",
    "publish_mode",
    "recording_conf",
)

_LOOPBACK = "127.0.0.1"
#: Characters that end an address amid the texts of the server, whose credentials could then not be found and hidden.
_ENDS_ADDRESS = re.compile(r"[\s'\"]", re.ASCII)
#: The server expands $RTSP_PORT and $MTX_PATH in every argument, quoted or not.
_OUTPUT = "rtsp://{host}:$RTSP_PORT/$MTX_PATH"


def publish_mode(camera: Camera, settings: MediaServerConfig) -> PublishMode:
    """Return PULL for a camera with an address, otherwise the mode of `settings`."""
    if isinstance(camera.media_input, Url):
        return PublishMode.PULL
    return PublishMode(settings.publishers)


def no_publisher(camera: Camera) -> Unsupported:
    """Return the error for a camera without a publisher."""
    return Unsupported(
        f"No plugin can publish {camera.id}.",
        feature="publisher",
        reason="no_publisher",
        suggestion="Enable the plugin ffmpeg_tier.",
    )


def no_media_input(camera: Camera) -> AgentError:
    """Return the error for a camera without a media input, which cannot be streamed or recorded."""
    if camera.status is CameraStatus.CONNECTED:
        return Unsupported(
            f"{camera.id} offers single pictures only; it cannot be streamed or recorded.",
            feature="media_input",
            reason="no_media_input",
            suggestion="Take snapshots, or enable a plugin that reports the camera with a media input.",
        )
    if camera.status is CameraStatus.ERROR:
        return CaptureFailed(
            f"{camera.id} does not work now. {camera.problem}".rstrip(), reason="camera_failed"
        )
    return CaptureFailed(
        f"{camera.id} is not connected.",
        reason="camera_disconnected",
        suggestion="Connect the camera; the event camera.connected reports its return.",
    )


def path_conf(
    camera: Camera,
    publisher: Publisher | None,
    *,
    recording: PathConf,
    settings: MediaServerConfig,
    host: str = _LOOPBACK,
) -> PathConf:
    """Return `recording` with the stream's source added: `publisher`, or the camera's URL if it is None.

    A publisher that the server runs sends to `host`, which is written as in a URL.
    """
    if publisher is None:
        assert isinstance(camera.media_input, Url)  # noqa: S101 - only these have no publisher
        return recording.model_copy(
            update={
                "source": _ENDS_ADDRESS.sub(_percent_encoded, camera.media_input.url),
                "source_on_demand": True,
                "source_on_demand_start_timeout_s": settings.start_timeout_s,
                "source_on_demand_close_after_s": settings.close_after_s,
            }
        )
    if publish_mode(camera, settings) is PublishMode.AGENT:
        return recording.model_copy(update={"source": "publisher", "run_on_demand": ""})
    return recording.model_copy(
        update={
            "source": "publisher",
            "run_on_demand": shlex.join([*publisher.argv, _OUTPUT.format(host=host)]),
            "run_on_demand_restart": True,
            "run_on_demand_start_timeout_s": settings.start_timeout_s,
            "run_on_demand_close_after_s": settings.close_after_s,
        }
    )


def _percent_encoded(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def recording_conf(form: str, record_path: str, settings: RecordingsConfig) -> PathConf:
    """Return the configuration that records below `record_path`; the server never deletes what the agent lists."""
    return PathConf(
        record=True,
        record_path=record_path,
        record_format=form,
        record_part_duration_s=settings.part_duration_s,
        record_segment_duration_s=settings.segment_duration_s,
        record_delete_after_s=0,
    )


class PathPlan:
    """Decides without I/O how each camera's stream reaches its path.

    Args:
        publisher: returns the program that publishes a media input; None if no plugin has one.
        progress: names the socket where a publisher reports its progress.
    """

    def __init__(
        self,
        publisher: Callable[[MediaInput], Publisher | None],
        *,
        progress: PublisherProgress,
        settings: MediaServerConfig,
    ) -> None:
        self._publisher = publisher
        self._progress = progress
        self._settings = settings

    @property
    def has_embedded_server(self) -> bool:
        """True if the media server is the embedded one, which records fewer codecs than MediaMTX."""
        return self._settings.mode == "embedded"

    def mode(self, camera: Camera) -> PublishMode:
        """Return the mode of the camera's path."""
        return publish_mode(camera, self._settings)

    def require_streamable(self, camera: Camera) -> None:
        """Check that the camera's stream can reach its path.

        Raises:
            CaptureFailed: the camera is not connected, or does not work.
            Unsupported: it has no media input, or no plugin can publish it.
        """
        self._publisher_of(camera)

    def command(self, camera: Camera) -> Publisher | None:
        """Return the program that publishes `camera`; None if the server pulls from the camera's address.

        Raises:
            CaptureFailed, Unsupported: as `require_streamable`.
        """
        publisher = self._publisher_of(camera)
        return None if publisher is None else self._reporting(camera, publisher)

    def _publisher_of(self, camera: Camera) -> Publisher | None:
        if camera.media_input is None:
            raise no_media_input(camera)
        if isinstance(camera.media_input, Url):
            if self.has_embedded_server:
                _require_rtsp(camera, camera.media_input)
            return None
        publisher = self._publisher(camera.media_input)
        is_expanded = self.mode(camera) is PublishMode.SERVER
        if publisher is None or (is_expanded and any("$" in word for word in publisher.argv)):
            raise no_publisher(camera)
        return publisher

    def conf(self, camera: Camera, recording: PathConf, *, rtsp_url: str) -> PathConf:
        """Return the configuration of the camera's path with the settings of `recording`.

        Args:
            camera: the camera.
            recording: the `record*` settings.
            rtsp_url: address of the media server's RTSP as the agent reaches it.

        Raises:
            CaptureFailed, Unsupported: as `require_streamable`.
        """
        command, settings = self.command(camera), self._settings
        # Other servers listen on the loopback address, or run on another host, which `rtsp_url` names.
        host = _host(rtsp_url) if settings.mode == "embedded" else _LOOPBACK
        return path_conf(camera, command, recording=recording, settings=settings, host=host)

    def _reporting(self, camera: Camera, publisher: Publisher) -> Publisher:
        """Return `publisher` with the arguments that make it report its progress.

        FFmpeg exits if it cannot open the progress socket. A publisher that the media server runs therefore reports
        only if its input comes from the agent too: without the agent it would have no stream anyway.
        """
        is_ours = self.mode(camera) is PublishMode.AGENT or isinstance(camera.media_input, FrameSocket)
        if not (publisher.reports_progress and is_ours):
            return publisher
        arguments = self._progress.reporting_arguments(camera.id)
        if any("$" in each for each in arguments):
            return publisher
        return replace(publisher, argv=(*publisher.argv, *arguments))


def _require_rtsp(camera: Camera, source: Url) -> None:
    scheme = urlsplit(source.url).scheme
    if scheme != "rtsp":
        raise Unsupported(
            f"The stream of {camera.id} has the scheme {scheme}://, and the embedded media server pulls rtsp:// only.",
            feature="stream_scheme",
            reason="scheme_not_supported",
            suggestion="Use MediaMTX: set media_server.mode to managed or external.",
        )


def _host(url: str) -> str:
    name = urlsplit(url).hostname or _LOOPBACK
    return f"[{name}]" if ":" in name else name
