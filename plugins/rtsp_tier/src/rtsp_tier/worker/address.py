"""Addresses of video, and how libav opens and reads each kind."""

from dataclasses import dataclass, field
from urllib.parse import quote

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.faults import StreamFailure

__all__ = ("Address", "Limits")

_SOCKET = "unix"
#: Protocols that libav may use for a scheme. None reaches the disk.
_PROTOCOLS = {"rtsp": "tcp", "rtsps": "tcp,tls", _SOCKET: "unix"}
#: Options that make libav look at no more than the first packet: a default open of an RTSP stream takes 2.3 s, this one
#: 0.02 s (measured). What libav would look for, decoders find in the stream or its description.
_BRIEF = {"analyzeduration": "0", "probesize": "32", "fpsprobesize": "0"}
#: Options that make libav ask for the video only, over TCP.
_RTSP = {
    **_BRIEF,
    "rtsp_transport": "tcp",
    "allowed_media_types": "video",
    # Over TCP nothing has to be reordered, and libav then says nothing of gaps. With a queue it does.
    "reorder_queue_size": "2",
}
#: Longest `user:password` in libav's buffer, quoted; a longer one would be cut silently.
_LOGIN_LIMIT_BYTES = 127
#: Characters that libav takes literally before the `@` of a URL.
_PLAIN = "!$&'()*+,;="
#: Wait (s) for the first picture of a camera that is started for it, and silence in frame intervals. The camera's broker
#: judges cameras sooner and closes the socket, so these only end the wait for a broker that hangs.
_START_S, _SILENT_FRAMES = 20.0, 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits (s) of the time to open a stream, to its first packet, and of its silence afterwards."""

    connect_s: float
    silence_s: float

    @property
    def patience_s(self) -> float:
        """Time within which a thread that opens and reads the stream surely comes back."""
        return 2 * self.connect_s + self.silence_s

    def within(self, limit_s: float) -> "Limits":
        """Return these limits, none of them longer than `limit_s`."""
        return Limits(*(max(0.01, min(limit_s, each_s)) for each_s in (self.connect_s, self.silence_s)))


@dataclass(frozen=True, slots=True)
class Address:
    """Stream to read. `url` has no credentials; for a frame socket it is `unix:` and the path.

    `interval_s` is the nominal time between two pictures, 0 if it is not known.
    """

    url: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    interval_s: float = 0.0

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0].lower()

    @property
    def is_socket(self) -> bool:
        return self.scheme == _SOCKET

    @property
    def form(self) -> str:
        """Libav's name of the container."""
        return "matroska" if self.is_socket else "rtsp"

    def limits(self, settings: Configure) -> Limits:
        """Return the limits for this address."""
        connect_s, silence_s = settings.connect_timeout_s, settings.silence_timeout_s
        if not self.is_socket:
            return Limits(connect_s, silence_s)
        silence_s = max(silence_s, _SILENT_FRAMES * self.interval_s)
        return Limits(max(_START_S, connect_s, silence_s), silence_s)

    def options(self, limits: Limits) -> dict[str, str]:
        """Return libav's options."""
        allowed = {"protocol_whitelist": _PROTOCOLS[self.scheme]}
        if self.is_socket:
            return {**_BRIEF, **allowed}
        # The socket's own limit ends what PyAV cannot interrupt, such as TLS.
        timeout = str(int(1e6 * max(limits.connect_s, limits.silence_s)))
        return {**_RTSP, **allowed, "timeout": timeout}

    def with_credentials(self) -> str:
        """Return the URL for libav, which has no other place for credentials.

        Raises:
            StreamFailure: it is neither an RTSP URL nor a frame socket, or the credentials are too long.
        """
        if self.is_socket and self.url.startswith(f"{_SOCKET}:/"):
            return self.url
        _, separator, rest = self.url.partition("://")
        is_known = self.scheme in _PROTOCOLS and not self.is_socket
        if not is_known or not separator or not self.url.isprintable() or " " in self.url:
            raise StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream's address is not an RTSP URL.")
        if self.user is None:
            return f"{self.scheme}://{rest}"
        login = quote(self.user, safe=_PLAIN) + ":" + quote(self.password or "", safe=_PLAIN + ":")
        if len(login) > _LOGIN_LIMIT_BYTES:
            raise StreamFailure(Reason.CREDENTIALS, "The user and password are too long for RTSP here.")
        return f"{self.scheme}://{login}@{rest}"
