"""Structured header fields: Transport, Session and RTP-Info."""

import re
from dataclasses import dataclass

from agent_core.plugin.rtsp.errors import RtspError

__all__ = ("RtpInfo", "SessionId", "Transport")

_PAIR = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")
_SSRC = re.compile(r"[0-9A-Fa-f]{1,8}\Z")
_SESSION = re.compile(r"([^\s;]+)[ \t]*(?:;[ \t]*(.*))?\Z")
_DIGITS = re.compile(r"[0-9]{1,10}\Z")


@dataclass(frozen=True, slots=True)
class Transport:
    """One alternative of a Transport field (RFC 2326, 12.39).

    `lower` is `TCP` or `UDP`. A pair holds the channels or ports of RTP and RTCP.
    """

    lower: str = "TCP"
    profile: str = "RTP/AVP"
    multicast: bool = False
    interleaved: tuple[int, int] | None = None
    client_port: tuple[int, int] | None = None
    server_port: tuple[int, int] | None = None
    ssrc: int | None = None
    record: bool = False

    @classmethod
    def parse(cls, value: str) -> "tuple[Transport, ...]":
        """Parse all alternatives, the sender's preferred one first. Unknown parameters are ignored.

        Raises:
            RtspError: the field is empty, does not name RTP, or has a malformed channel or port.
        """
        found = tuple(_transport(part) for part in value.split(",") if part.strip())
        if not found:
            raise RtspError("A Transport field is empty.")
        return found

    def __str__(self) -> str:
        parts = [f"{self.profile}/{self.lower}", "multicast" if self.multicast else "unicast"]
        for name, pair in (
            ("interleaved", self.interleaved),
            ("client_port", self.client_port),
            ("server_port", self.server_port),
        ):
            if pair is not None:
                parts.append(f"{name}={pair[0]}-{pair[1]}")
        if self.ssrc is not None:
            parts.append(f"ssrc={self.ssrc:08X}")
        if self.record:
            parts.append("mode=record")
        return ";".join(parts)


def _transport(text: str) -> Transport:
    protocol, *parameters = (part.strip() for part in text.split(";"))
    pieces = protocol.upper().split("/")
    if len(pieces) not in (2, 3) or pieces[0] != "RTP":
        raise RtspError("A Transport field does not name RTP.")
    given = {name.strip().lower(): value.strip() for name, _, value in (p.partition("=") for p in parameters)}
    return Transport(
        lower=pieces[2] if len(pieces) == 3 else "UDP",
        profile=f"RTP/{pieces[1]}",
        multicast="multicast" in given,
        interleaved=_pair(given.get("interleaved"), 255),
        client_port=_pair(given.get("client_port"), 65535),
        server_port=_pair(given.get("server_port"), 65535),
        ssrc=_ssrc(given.get("ssrc")),
        record=given.get("mode", "").strip('"').lower() in ("record", "receive"),
    )


def _pair(text: str | None, highest: int) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _PAIR.match(text)
    first = int(found[1]) if found else highest + 1
    second = int(found[2]) if found and found[2] else first + 1
    if max(first, second) > highest:
        raise RtspError("A Transport field has a malformed channel or port.")
    return first, second


def _ssrc(text: str | None) -> int | None:
    # Some cameras pad it with blanks or send nonsense. It is only a hint, so ignore what cannot be read.
    return int(text, 16) if text and _SSRC.match(text) else None


@dataclass(frozen=True, slots=True)
class SessionId:
    """Session field. Without `timeout_s` the time-out is 60 seconds (RFC 2326, 12.37)."""

    id: str
    timeout_s: int | None = None

    @classmethod
    def parse(cls, value: str) -> "SessionId":
        """Parse the id and the time-out. Unknown parameters are ignored.

        Raises:
            RtspError: the id is empty or not one word.
        """
        found = _SESSION.match(value.strip())
        if found is None:
            raise RtspError("A Session field has no identifier.")
        for parameter in (found[2] or "").split(";"):
            name, _, number = parameter.strip().partition("=")
            if name.lower() == "timeout" and _DIGITS.match(number):
                return cls(found[1], int(number))
        return cls(found[1])

    def __str__(self) -> str:
        return self.id if self.timeout_s is None else f"{self.id};timeout={self.timeout_s}"


@dataclass(frozen=True, slots=True)
class RtpInfo:
    """One stream of an RTP-Info field: sequence number and RTP time of its next packet."""

    url: str
    seq: int | None = None
    rtptime: int | None = None

    @classmethod
    def parse(cls, value: str) -> "tuple[RtpInfo, ...]":
        """Parse all streams. A malformed number becomes None, because many cameras send some.

        A new entry starts only at `url=`, so an address may contain a comma.
        """
        return tuple(_rtp_info(part) for part in re.split(r",\s*(?=url=)", value) if part.strip())

    def __str__(self) -> str:
        numbers = (("seq", self.seq), ("rtptime", self.rtptime))
        return ";".join(
            [f"url={self.url}", *(f"{name}={number}" for name, number in numbers if number is not None)]
        )


def _rtp_info(text: str) -> RtpInfo:
    stripped = text.strip()
    if not stripped.startswith("url="):
        return RtpInfo("")
    rest, rtptime = _number_at_end(stripped.removeprefix("url=").removesuffix(";"), ";rtptime=")
    url, seq = _number_at_end(rest, ";seq=")
    return RtpInfo(url, seq, rtptime)


def _number_at_end(text: str, name: str) -> tuple[str, int | None]:
    """Return the text before `name` and the number after it; all of `text` and None if there is none."""
    before, found, digits = text.rpartition(name)
    return (before, int(digits)) if found and _DIGITS.match(digits) else (text, None)
