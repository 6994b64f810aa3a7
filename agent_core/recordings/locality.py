"""Locality of recordings: on this host, or on a remote media server."""

import socket
from urllib.parse import urlsplit

from agent_core.config.sections import MediaServerConfig

__all__ = ("RecordingPlace",)


class RecordingPlace:
    """Knows by the configuration, or by the address of the media server's API. Blocks on the resolver once."""

    def __init__(self, settings: MediaServerConfig) -> None:
        self._settings = settings
        self._found: bool | None = None

    def is_local(self) -> bool:
        """Return True if the server writes into this host's folder of recordings.

        One whose name cannot be resolved cannot be asked to record either, and that is the error to show; so it counts.
        """
        if self._settings.mode != "external":
            return True
        if self._settings.shares_recordings is not None:
            return self._settings.shares_recordings
        if self._found is None:
            self._found = _is_this_host(self._settings.api_url)
        return self._found is not False


def _is_this_host(api_url: str) -> bool | None:
    """None where that cannot be told."""
    at = urlsplit(api_url)
    if at.scheme == "unix":
        return True
    try:
        found = socket.getaddrinfo(at.hostname, None, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    return any(_is_ours(family, *address[:1], *address[2:]) for family, _, _, _, address in found)


def _is_ours(family: int, address: str | int, *scope: str | int) -> bool:
    """Only an address of this host can be bound to."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0, *scope))
        except OSError:
            return False
    return True
