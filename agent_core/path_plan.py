"""How a camera comes to its path: by which program, who runs it, and what the path is configured with for that."""

from collections.abc import Callable
from dataclasses import replace

from agent_core.base.models import Camera, FrameSocket, MediaInput, Url
from agent_core.config import MediaServerConfig
from agent_core.mediamtx.schema import PathConf
from agent_core.path_conf import PublishMode, no_media_input, no_publisher, path_conf, publish_mode
from agent_core.plugin import Publisher
from agent_core.publisher_progress import PublisherProgress

__all__ = ("PathPlan",)


class PathPlan:
    """Decides for each camera; changes nothing.

    Args:
        publisher: the program that publishes a media input, None if no plugin has one.
        progress: where publishers report their progress.
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

    def mode(self, camera: Camera) -> PublishMode:
        """Who feeds the camera's path."""
        return publish_mode(camera, self._settings)

    def command(self, camera: Camera) -> Publisher | None:
        """The program that publishes `camera`; None for one that the server pulls.

        Raises:
            CaptureFailed: the camera is not there, or does not work.
            Unsupported: it has no media input, or no plugin can publish it.
        """
        if camera.media_input is None:
            raise no_media_input(camera)
        if isinstance(camera.media_input, Url):
            return None
        publisher = self._publisher(camera.media_input)
        is_expanded = self.mode(camera) is PublishMode.SERVER
        if publisher is None or (is_expanded and any("$" in word for word in publisher.argv)):
            raise no_publisher(camera)
        return self._reporting(camera, publisher)

    def conf(self, camera: Camera, recording: PathConf) -> PathConf:
        """The camera's path, recorded so.

        Raises:
            CaptureFailed, Unsupported: as `command`.
        """
        return path_conf(camera, self.command(camera), recording=recording, settings=self._settings)

    def _reporting(self, camera: Camera, publisher: Publisher) -> Publisher:
        """With the words that make it report.

        FFmpeg ends when it cannot open what it is to report to, so where others run it this is only for input that
        comes from the agent, without which there would be no stream anyhow.
        """
        is_ours = self.mode(camera) is PublishMode.AGENT or isinstance(camera.media_input, FrameSocket)
        words = self._progress.words(camera.id) if publisher.reports_progress and is_ours else ()
        if any("$" in word for word in words):
            return publisher
        return replace(publisher, argv=(*publisher.argv, *words))
