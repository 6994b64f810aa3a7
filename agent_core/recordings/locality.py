"""Locality of recordings: on this host, or on a remote media server.

A module of its own, as only this question of a recording needs a resolver and sockets.
"""

import socket
from urllib.parse import urlsplit

from agent_core.config.sections import MediaServerConfig

__all__ = ("RecordingPlace",)


class RecordingPlace:
    """Place of the recordings, by the configuration or the address of the API. Blocks on the resolver once."""

    def __init__(self, settings: MediaServerConfig) -> None:
        self._settings = settings
        self._found: bool | None = None

    def is_local(self) -> bool:
        """Return True if the server writes into this host's folder of recordings.

        A server whose name cannot be resolved counts as local: the failing request to it is the error to show.
        """
        if self._settings.mode != "external":
            return True
        if self._settings.shares_recordings is not None:
            return self._settings.shares_recordings
        if self._found is None:
            self._found = _is_this_host(self._settings.api_url)
        return self._found is not False


def _is_this_host(api_url: str) -> bool | None:
    """Return True if the URL's host is this host; None if its name cannot be resolved."""
    at = urlsplit(api_url)
    if at.scheme == "unix":
        return True
    try:
        found = socket.getaddrinfo(at.hostname, None, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    return any(_is_ours(family, *address[:1], *address[2:]) for family, _, _, _, address in found)


def _is_ours(family: int, address: str | int, *scope: str | int) -> bool:
    """Return True for an address of this host: no other can be bound to."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0, *scope))
        except OSError:
            return False
    return True
