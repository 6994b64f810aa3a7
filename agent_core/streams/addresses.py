"""Addresses at which clients reach the media server now."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_core.config import MediaServerConfig
from agent_core.mediamtx import ServerLink
from agent_core.streams.models import MediaAddresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_core.mediamtx.managed.config import Ports

__all__ = ("StreamAddresses",)

DEFAULT_RTSP_PORT = 554


class StreamAddresses:
    """Returns ports and protocols of the media server in use, or of the configuration while none is connected.

    Args:
        managed_ports: ports of the media server that the agent runs; None if it runs none.
    """

    def __init__(
        self, link: ServerLink, settings: MediaServerConfig, *, managed_ports: "Callable[[], Ports | None]"
    ) -> None:
        self._link = link
        self._settings = settings
        self._managed_ports = managed_ports

    def configure(self, settings: MediaServerConfig) -> None:
        """Answer with another host and other ports from now on; those of a media server in use count more."""
        self._settings = settings

    @property
    def has_server(self) -> bool:
        """True if a media server is configured, whether it runs or not."""
        return self._link.is_configured

    def now(self) -> MediaAddresses:
        """Return the addresses, from memory."""
        ports, server = self._managed_ports(), self._link.current
        rtsp_url = server.endpoints.rtsp_url if server else self._settings.rtsp_url
        return MediaAddresses(
            host=self._settings.host,
            rtsp_port=urlsplit(rtsp_url).port or DEFAULT_RTSP_PORT,
            hls_port=(ports and ports.hls) or self._settings.hls_port,
            webrtc_port=(ports and ports.webrtc) or self._settings.webrtc_port,
            served=self._link.served,
        )
