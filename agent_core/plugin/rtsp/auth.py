"""Basic and Digest authentication for clients and servers (RFC 2617; SHA-256 of RFC 7616 if a server asks for it)."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent_core.plugin.rtsp.errors import RtspError

__all__ = ("Authorization", "Challenge", "Credentials", "answer")

_SCHEME = re.compile(r"\s*([A-Za-z0-9_-]{1,20})(?:\s+(.*))?\Z", re.DOTALL)
#: Possessive quantifiers: with an empty value between two runs of spaces, backtracking would take quadratic time.
_PARAMETER = re.compile(
    r'\s*+([A-Za-z0-9_-]{1,40})\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s,"]*+))\s*+(?:,|\Z)'
)
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate field. `algorithm` is in upper case; `qop` is True if the server offers `auth`."""

    scheme: str
    realm: str
    nonce: str = ""
    opaque: str | None = None
    algorithm: str = "MD5"
    qop: bool = False

    @classmethod
    def parse(cls, value: str) -> "Challenge":
        """Parse a challenge of any scheme.

        Raises:
            RtspError: the scheme is missing, or the parameters are malformed.
        """
        scheme, rest = _split_scheme(value)
        given = _parameters(rest)
        return cls(
            scheme,
            given.get("realm", ""),
            given.get("nonce", ""),
            given.get("opaque"),
            given.get("algorithm", "MD5").upper(),
            "auth" in re.split(r"[,\s]+", given.get("qop", "").lower()),
        )

    def __str__(self) -> str:
        if self.scheme == "basic":
            return f'Basic realm="{self.realm}"'
        return f'Digest realm="{self.realm}", nonce="{self.nonce}"'


def _split_scheme(value: str) -> tuple[str, str]:
    found = _SCHEME.match(value)
    if found is None:
        raise RtspError("An authentication field has no scheme.")
    return found[1].lower(), found[2] or ""


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise RtspError("An authentication field's parameters cannot be read.")
        quoted, plain = match[2], match[3]
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        position = match.end()
    return found


def answer(challenges: Sequence[str], credentials: Credentials, method: str, uri: str) -> str:
    """Return the Authorization field for the best of `challenges`, Digest before Basic.

    Call it for each request, because a digest depends on the method and the address.

    Args:
        challenges: values of the response's WWW-Authenticate fields.
        credentials: user name and password.
        method: method of the request.
        uri: address of the request.

    Raises:
        RtspError: no challenge is supported.
    """
    known = [challenge for text in challenges if (challenge := _known(text)) is not None]
    if not known:
        raise RtspError("The server asks for an unsupported authentication scheme.")
    challenge = max(known, key=lambda one: one.scheme == "digest")
    if challenge.scheme == "basic":
        pair = f"{credentials.user}:{credentials.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    return _digest_field(challenge, credentials, method, uri)


def _known(text: str) -> Challenge | None:
    try:
        challenge = Challenge.parse(text)
    except RtspError:
        return None
    usable = challenge.scheme == "basic" or (challenge.scheme == "digest" and challenge.algorithm in _HASHES)
    return challenge if usable else None


def _digest_field(challenge: Challenge, credentials: Credentials, method: str, uri: str) -> str:
    count = ("00000001", secrets.token_hex(8)) if challenge.qop else None
    response = _digest(challenge, credentials, method, uri, count)
    fields = {
        "username": credentials.user,
        "realm": challenge.realm,
        "nonce": challenge.nonce,
        "uri": uri,
        "response": response,
    }
    if challenge.opaque is not None:
        fields["opaque"] = challenge.opaque
    parts = [f'{name}="{_quoted(value)}"' for name, value in fields.items()]
    if challenge.algorithm != "MD5":
        parts.append(f"algorithm={challenge.algorithm}")
    if count:
        parts.append(f'qop=auth, nc={count[0]}, cnonce="{count[1]}"')
    return "Digest " + ", ".join(parts)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _digest(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, count: tuple[str, str] | None
) -> str:
    """Return the response of RFC 2617, 3.2.2.1. `count` is the nonce count and the client's nonce if qop is `auth`."""

    def hashed(*parts: str) -> str:
        return _HASHES[challenge.algorithm](":".join(parts).encode()).hexdigest()

    secret = hashed(credentials.user, challenge.realm, credentials.password)
    request = hashed(method, uri)
    if count is None:
        return hashed(secret, challenge.nonce, request)
    return hashed(secret, challenge.nonce, *count, "auth", request)


@dataclass(frozen=True, slots=True)
class Authorization:
    """Authorization field received by a server. `secret` is Basic's password or Digest's response."""

    scheme: str
    user: str
    secret: str = field(repr=False)
    uri: str = ""
    nonce: str = ""
    realm: str = ""
    count: tuple[str, str] | None = None

    @classmethod
    def parse(cls, value: str) -> "Authorization":
        """Parse a Basic or Digest field.

        Raises:
            RtspError: the scheme is another one, or the field is malformed.
        """
        scheme, rest = _split_scheme(value)
        if scheme == "basic":
            return cls(scheme, *_basic_pair(rest))
        if scheme != "digest":
            raise RtspError("An Authorization field is neither Basic nor Digest.")
        return cls._digest(_parameters(rest))

    @classmethod
    def _digest(cls, given: Mapping[str, str]) -> "Authorization":
        count = (given.get("nc", ""), given.get("cnonce", "")) if "qop" in given else None
        return cls(
            "digest",
            given.get("username", ""),
            given.get("response", ""),
            given.get("uri", ""),
            given.get("nonce", ""),
            given.get("realm", ""),
            count,
        )

    def proves(self, credentials: Credentials, challenge: Challenge, method: str) -> bool:
        """Return True if the field proves `credentials` in answer to `challenge`. Compares in constant time."""
        if self.scheme != challenge.scheme or self.user != credentials.user:
            return False
        if self.scheme == "basic":
            return hmac.compare_digest(self.secret.encode(), credentials.password.encode())
        if (self.nonce, self.realm) != (challenge.nonce, challenge.realm):
            return False
        expected = _digest(challenge, credentials, method, self.uri, self.count)
        return hmac.compare_digest(self.secret.encode(), expected.encode())


def _basic_pair(text: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:  # not Base64, not UTF-8
        raise RtspError("A Basic Authorization field cannot be read.") from None
    if not colon:
        raise RtspError("A Basic Authorization field cannot be read.")
    return user, password
