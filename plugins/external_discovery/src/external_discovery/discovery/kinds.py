"""Kinds of found streams. Apart from the streams themselves, so that the methods are registered before RTSP is loaded."""

from enum import StrEnum

__all__ = ("ALL", "CAMERAS", "SWEPT", "StreamKind")


class StreamKind(StrEnum):
    """Ways in which a stream was found; the values are the `type` of the API."""

    SKYDIO = "skydio"
    GENERIC = "generic_rtsp"
    ONVIF = "onvif"
    DNSSD = "dnssd"


#: Kinds that are found by trying hosts one by one.
SWEPT = frozenset((StreamKind.SKYDIO, StreamKind.GENERIC))
#: Kinds that the option `generic_enabled` searches for.
CAMERAS = frozenset((StreamKind.GENERIC, StreamKind.ONVIF, StreamKind.DNSSD))
#: Kinds that a scan by interval searches for.
ALL = frozenset((StreamKind.SKYDIO, *CAMERAS))
