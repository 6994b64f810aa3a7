"""Signed download links, which need no token until they end.

A module of its own: methods sign links, the HTTP routes check them.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from agent_core.auth.roles import Principal
from agent_core.auth.secret import SecretSource
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed

__all__ = ("DownloadLinks", "DownloadUrl", "Link", "no_link")

#: Returns the link to a file, by kind (`snapshots`, `recordings`) and name; None if the agent can sign none.
DownloadUrl = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Link:
    """Link to the file `name` of a kind, as a request gives it. `credential` is that of the user that it was made for."""

    kind: str
    name: str
    expires: str
    credential: str
    signature: str

    @classmethod
    def parse(cls, url: str) -> "Link":
        """Return the link of a `download_url`. Raises ValueError if it is not one."""
        try:
            parts = urlsplit(url)
            query = dict(parse_qsl(parts.query))
            kind, _, name = parts.path.removeprefix("/files/").partition("/")
            return cls(kind, unquote(name), query["expires"], query["by"], query["sig"])
        except (ValueError, KeyError) as error:
            raise ValueError("not a download_url") from error

    @property
    def id(self) -> str:
        """Id of this link in the list of revoked tokens."""
        return f"link:{self.signature}"


class DownloadLinks:
    """Signer and verifier of `download_url`s. A link belongs to a user and ends with the user's credentials.

    Args:
        secret: a key derived from it signs the links, so that a new secret invalidates all of them.
        clock: tells when a link expires.
        is_current: returns True unless the credentials of a user have been revoked or changed.
        is_revoked: returns True for the id of a link that was revoked by itself.
        lifetime_s: longest validity of a link; it also ends when the credentials expire.
        base_url: prefix of the path; empty for relative links, which clients resolve against the agent's address.
    """

    def __init__(
        self,
        secret: SecretSource,
        clock: Clock,
        *,
        is_current: Callable[[str], bool],
        is_revoked: Callable[[str], bool] = lambda _id: False,
        lifetime_s: float = 3600.0,
        base_url: str = "",
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._is_current = is_current
        self._is_revoked = is_revoked
        self._lifetime_s = lifetime_s
        self._base_url = base_url.rstrip("/")

    def offered_to(self, principal: Principal) -> DownloadUrl:
        """Return `of`, or a function that returns None.

        There are no links without a usable secret, though API keys are valid then, and none for users without links.
        """
        if not principal.has_links:
            return no_link
        try:
            return self.of(principal)
        except AuthenticationFailed:
            return no_link

    def of(self, principal: Principal) -> Callable[[str, str], str]:
        """Return the signer of links for `principal`.

        Raises:
            AuthenticationFailed: the agent's secret is missing or unusable.
        """
        end_s = self._clock.now().timestamp() + self._lifetime_s
        if principal.expires_at is not None:
            end_s = min(end_s, principal.expires_at.timestamp())
        return partial(self._sign, self._key(), str(int(end_s)), principal.credential)

    def is_valid(self, link: Link) -> bool:
        """Return True if the link is one of `of`, has not expired, and its user's credentials are current."""
        if not (link.expires.isascii() and link.expires.isdigit() and len(link.expires) <= 12):
            return False
        return self.is_live(link) and int(link.expires) > self._clock.now().timestamp()

    def is_live(self, link: Link) -> bool:
        """Return True for a valid link, or one that has only expired: a running download may take longer."""
        try:
            good = _signature(self._key(), link.kind, link.name, link.expires, link.credential)
        except AuthenticationFailed:
            return False
        is_signed = hmac.compare_digest(good.encode(), link.signature.encode(errors="surrogatepass"))
        return is_signed and self._is_current(link.credential) and not self._is_revoked(link.id)

    def _key(self) -> bytes:
        return self._secret.current().derive("download links")

    def _sign(self, key: bytes, expires: str, credential: str, kind: str, name: str) -> str:
        signature = _signature(key, kind, name, expires, credential)
        query = f"expires={expires}&by={quote(credential, safe=':')}&sig={signature}"
        return f"{self._base_url}/files/{kind}/{quote(name)}?{query}"


def no_link(_kind: str, _name: str) -> None:
    """Return no link, as a `DownloadUrl`."""
    return


def _signature(key: bytes, kind: str, name: str, expires: str, credential: str) -> str:
    # None of the four can hold a line feed unescaped: all but the name are ours, and the name comes last.
    text = f"{kind}\n{expires}\n{credential}\n{name}".encode(errors="surrogatepass")
    return urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)).rstrip(b"=").decode()
