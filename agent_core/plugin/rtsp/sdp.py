"""Session descriptions (SDP, RFC 8866), the part that RTSP uses."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent_core.plugin.rtsp.errors import RtspError

__all__ = ("MediaDescription", "RtpMap", "SessionDescription", "control_url")

_MAX_BYTES = 256 << 10
_MAX_MEDIA = 32
_MEDIA = re.compile(r"(\S+) +([0-9]{1,5})(?:/[0-9]+)? +(\S+) +(\S.*)\Z")
_RTPMAP = re.compile(r"([0-9]{1,3}) +([^\s/]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?\s*\Z")

#: Payload types without an rtpmap (RFC 3551, table 4 and 5): encoding, clock rate, channels.
_STATIC: Mapping[int, tuple[str, int, int]] = {
    0: ("PCMU", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    14: ("MPA", 90000, 1),
    26: ("JPEG", 90000, 1),
    32: ("MPV", 90000, 1),
    33: ("MP2T", 90000, 1),
}


@dataclass(frozen=True, slots=True)
class RtpMap:
    """Encoding of a payload type."""

    payload_type: int
    encoding: str
    clock_rate_hz: int
    channels: int = 1


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One `m=` section. `lines` holds its other lines as (type, value), in order."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[tuple[str, str], ...] = ()

    def attribute(self, name: str) -> str | None:
        """Return the value of the first `a=name:value`; empty for a flag, None if it is missing."""
        return next(self.attributes(name), None)

    def attributes(self, name: str) -> Iterator[str]:
        return _attributes(self.lines, name)

    @property
    def control(self) -> str:
        """Value of `a=control`, empty if it is missing. `control_url` makes an address of it."""
        return self.attribute("control") or ""

    @property
    def payload_type(self) -> int | None:
        """Payload type of the first format; None if that is not RTP."""
        first = self.formats[0]
        return int(first) if re.fullmatch(r"[0-9]{1,3}", first) else None

    @property
    def rtpmap(self) -> RtpMap | None:
        """Mapping of the first format; from the table of static types if the description has none."""
        number = self.payload_type
        for value in self.attributes("rtpmap"):
            found = _RTPMAP.match(value.strip())
            if found and int(found[1]) == number:
                return RtpMap(number, found[2], int(found[3]), int(found[4] or 1))
        static = _STATIC.get(number) if number is not None else None
        return RtpMap(number, *static) if number is not None and static else None

    @property
    def fmtp(self) -> Mapping[str, str]:
        """Parameters of the first format, names in lower case."""
        for value in self.attributes("fmtp"):
            number, _, parameters = value.strip().partition(" ")
            if number == self.formats[0]:
                pairs = (part.partition("=") for part in parameters.split(";") if part.strip())
                return {name.strip().lower(): value.strip() for name, _, value in pairs}
        return {}

    def __str__(self) -> str:
        first = f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"
        return "\r\n".join([first, *(f"{key}={value}" for key, value in self.lines), ""])


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """Session description. `lines` holds the lines before the first medium as (type, value), in order."""

    lines: tuple[tuple[str, str], ...]
    media: tuple[MediaDescription, ...]

    @classmethod
    def parse(cls, data: bytes) -> "SessionDescription":
        """Parse a description with at least one medium. Unknown lines are kept, because many cameras send some.

        Raises:
            RtspError: the description is over 256 KiB, has no medium or too many, or has a malformed one.
        """
        lines = list(_lines(data))
        starts = [index for index, (key, _) in enumerate(lines) if key == "m"]
        if not starts or len(starts) > _MAX_MEDIA:
            raise RtspError(f"A session description has no medium, or more than {_MAX_MEDIA}.")
        ends = [*starts[1:], len(lines)]
        media = tuple(_media(lines[start:end]) for start, end in zip(starts, ends, strict=True))
        return cls(tuple(lines[: starts[0]]), media)

    def attribute(self, name: str) -> str | None:
        """Return the value of the first session-level `a=name:value`; empty for a flag, None if it is missing."""
        return next(_attributes(self.lines, name), None)

    @property
    def control(self) -> str:
        """Value of the session-level `a=control`; empty or `*` means the base address."""
        return self.attribute("control") or ""

    def encode(self) -> bytes:
        head = "".join(f"{key}={value}\r\n" for key, value in self.lines)
        return (head + "".join(map(str, self.media))).encode()


def _lines(data: bytes) -> Iterator[tuple[str, str]]:
    if len(data) > _MAX_BYTES:
        raise RtspError(f"A session description is over {_MAX_BYTES} bytes.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # cameras put their names here in any encoding
    for line in re.split(r"[\r\n]+", text.strip("\r\n\0 ")):
        if "\0" in line:
            raise RtspError("A line of a session description contains a zero byte.")
        if line[1:2] == "=":  # cameras send other lines as well, such as fields of RTSP
            yield line[0], line[2:]


def _media(lines: list[tuple[str, str]]) -> MediaDescription:
    found = _MEDIA.match(lines[0][1])
    if found is None or int(found[2]) > 65535:
        raise RtspError("A medium of a session description cannot be read.")
    return MediaDescription(found[1], int(found[2]), found[3], tuple(found[4].split()), tuple(lines[1:]))


def _attributes(lines: tuple[tuple[str, str], ...], name: str) -> Iterator[str]:
    for key, text in lines:
        found, _, value = text.partition(":")
        if key == "a" and found == name:
            yield value


def control_url(base: str, control: str) -> str:
    """Return the address of `control` relative to `base`, the Content-Base or the address of the DESCRIBE.

    Cameras and servers join the two as text, not as in RFC 3986: `rtsp://host/path?query` and `trackID=0` give
    `rtsp://host/path?query/trackID=0`.

    Raises:
        RtspError: `control` is a malformed address.
    """
    if control in ("", "*"):
        return base
    try:
        if urlsplit(control).scheme.lower() in ("rtsp", "rtsps"):
            return control
        at = urlsplit(base)
    except ValueError:
        raise RtspError("A control attribute is not an address.") from None
    if control.startswith("/"):
        return f"{at.scheme}://{at.netloc}{control}"
    return base.rstrip("/") + "/" + control
