"""Address of a stream as a client, a camera or a configuration gives it: strict, and without its credentials.

A URL that two programs read differently is refused, because this agent checks it and a media server opens it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from agent_core.plugin import InvalidParams
from external_discovery.parameters import HIDDEN, hide_secrets, secret_values

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = ("SCHEMES", "AddressRefused", "IpAddress", "StreamAddress", "checked_credentials")

IpAddress = IPv4Address | IPv6Address

#: Schemes of streams, with their default ports; None: the URL has to name its port.
SCHEMES: Mapping[str, int | None] = MappingProxyType(
    {"rtsp": 554, "rtsps": 322, "srt": None, "udp+mpegts": None}
)
#: Longest URL; MediaMTX's and cameras' own limits are above it.
_LONGEST_URL = 2048
#: Longest user name and password, each; `agent_core` bounds both together for readers.
_LONGEST_CREDENTIAL = 256
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
#: Characters that RFC 3986 allows nowhere; parsers disagree about backslashes most of all.
_FORBIDDEN = re.compile(r'[^\x21-\x7e]|["<>\\^`{|}]')
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
#: A last label that resolvers read as a number: then the whole host is an IPv4 address (WHATWG URL, 3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class AddressRefused(InvalidParams):
    """Refused address of a stream.

    Args:
        reason: stable word of the rule, also the error's `rule`.
        details: one sentence, without user, password and secret parameters.
        hint: valid form.
    """

    def __init__(self, reason: str, details: str, *, hint: str = "") -> None:
        super().__init__(
            details,
            param="stream_url",
            rule=reason,
            hint=hint,
            suggestion="Correct the address, or ask the operator which networks are allowed.",
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Address of a stream without user and password.

    Attributes:
        scheme: one of `SCHEMES`.
        host: IP address in canonical form without brackets, or name in lower case.
        port: port.
        path: path and query as the camera gets them; may hold secret parameters, which `url` hides.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "tuple[StreamAddress, Credentials | None]":
        """Return the address in `url` and the credentials that it names, if any.

        Raises:
            AddressRefused: the URL is not strictly valid. No message repeats a part of it that may be secret.
        """
        _check_characters(url)
        found = _SCHEME.fullmatch(url)
        scheme = found[1].lower() if found else ""
        if found is None or scheme not in SCHEMES:
            raise AddressRefused(
                "scheme_not_allowed",
                "The address has no scheme of a stream.",
                hint=", ".join(f"{each}://" for each in SCHEMES),
            )
        authority, path = _split_path(found[2])
        userinfo, at, place = authority.rpartition("@")
        if "@" in userinfo:
            raise AddressRefused(
                "ambiguous_user",
                "The address has several @ before its path.",
                hint="Write @ in a user name or password as %40.",
            )
        credentials = _credentials(userinfo) if at else None
        host, port = _host_and_port(place, SCHEMES[scheme])
        return cls(scheme, host, port, path), credentials

    @property
    def ip(self) -> IpAddress | None:
        """The host as an IP address; None if it is a name."""
        return _ip(self.host)

    @property
    def url(self) -> str:
        """Public form, for clients and logs: without credentials, and with secret parameters hidden."""
        return self._at(self.host, hide_secrets(self.path))

    @property
    def has_secrets(self) -> bool:
        """Return True if the path or the query has secret parameters; then `url` does not open the stream."""
        return any(value != HIDDEN for value in secret_values(self.path))

    @property
    def is_masked(self) -> bool:
        """Return True if a secret parameter is hidden in the address itself, which therefore opens no stream."""
        return HIDDEN in secret_values(self.path)

    def url_at(self, ip: IpAddress | None = None) -> str:
        """Return the URL that opens the stream, with `ip` in place of the host if it is given. It may be secret."""
        return self._at(self.host if ip is None else str(ip), self.path)

    def _at(self, host: str, path: str) -> str:
        place = f"[{host}]" if ":" in host else host
        port = "" if self.port == SCHEMES[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{place}{port}{path}"


def _check_characters(url: str) -> None:
    if len(url) > _LONGEST_URL:
        raise AddressRefused("too_long", f"The address is longer than {_LONGEST_URL} characters.")
    if _FORBIDDEN.search(url):
        raise AddressRefused(
            "forbidden_character",
            "The address has a character that URLs cannot have: a space, a control character, a backslash, "
            "quotes or a letter outside ASCII.",
            hint="Percent-encode it; write an international host name in its xn-- form.",
        )
    if _BAD_ESCAPE.search(url):
        raise AddressRefused(
            "bad_escape",
            "The address has a % that two hexadecimal digits do not follow.",
            hint="Write % itself as %25.",
        )
    if "#" in url:
        raise AddressRefused(
            "fragment",
            "The address has a #, after which a camera receives nothing.",
            hint="Write # as %23, also in a password.",
        )


def _split_path(rest: str) -> tuple[str, str]:
    """Return the authority, and path with query; the path starts with a slash."""
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    return authority, path if path.startswith("/") else f"/{path}"


def _credentials(userinfo: str) -> "Credentials":
    raw_user, _, raw_password = userinfo.partition(":")
    if ":" in raw_password:
        raise AddressRefused(
            "ambiguous_user",
            "The address has several colons before the @.",
            hint="Write : in a password as %3A.",
        )
    return checked_credentials(unquote(raw_user, errors="replace"), unquote(raw_password, errors="replace"))


def checked_credentials(user: str, password: str) -> "Credentials":
    """Return user and password, if cameras and media servers can be given them.

    Raises:
        AddressRefused: one of them is empty, too long, or has control characters.
    """
    # RTSP is loaded after the agent listens.
    from agent_core.plugin.rtsp import Credentials

    if not user or max(len(user), len(password)) > _LONGEST_CREDENTIAL:
        raise AddressRefused("bad_credentials", "The user name is empty, or it or the password is too long.")
    if not password:
        raise AddressRefused(
            "empty_password",
            "The address has a user without a password, with which no media server opens a camera.",
            hint="Give the user a password at the camera, or leave the user out.",
        )
    if _CONTROL.search(user + password) or "\ufffd" in user + password:
        raise AddressRefused(
            "bad_credentials", "The user name or the password has a control character or is not UTF-8."
        )
    return Credentials(user, password)


def _host_and_port(place: str, default: int | None) -> tuple[str, int]:
    if place.startswith("["):
        literal, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise AddressRefused("bad_host", "The brackets of the IPv6 address are not closed correctly.")
        return _ipv6(literal), _port(rest[1:] if rest else None, default)
    name, colon, port = place.partition(":")
    if ":" in port:
        raise AddressRefused(
            "bad_host",
            "The host has several colons.",
            hint="Write an IPv6 address in brackets: [2001:db8::1].",
        )
    return _name_or_ipv4(name), _port(port if colon else None, default)


def _port(text: str | None, default: int | None) -> int:
    if text is None and default is not None:
        return default
    if text is None or not _PORT.fullmatch(text) or int(text) > 65535:
        raise AddressRefused(
            "bad_port",
            "The port is missing or not a number from 1 to 65535.",
            hint="If a password has / or ?, write them as %2F and %3F.",
        )
    return int(text)


def _ipv6(text: str) -> str:
    if "%" in text:
        raise AddressRefused("zone_id", "The IPv6 address names a network interface, which is not allowed.")
    try:
        return str(IPv6Address(text))
    except AddressValueError as error:
        raise AddressRefused("bad_host", "The text in brackets is not an IPv6 address.") from error


def _name_or_ipv4(text: str) -> str:
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            # Python refuses octal, hexadecimal and short forms.
            return str(IPv4Address(text))
        except AddressValueError as error:
            raise AddressRefused(
                "odd_address",
                "The host is a number, but not an IPv4 address of four decimal numbers.",
                hint="192.0.2.1",
            ) from error
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise AddressRefused("bad_host", "The host is neither a name nor an IP address.")
    return name


def _ip(host: str) -> IpAddress | None:
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None
