"""Signed download links, which need no token until they expire.

A module of its own: methods sign links, the HTTP routes check them.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from urllib.parse import quote

from agent_core.base.clock import Clock

__all__ = ("DownloadLinks",)


class DownloadLinks:
    """Signer and verifier of `download_url`s.

    Args:
        key: 32 bytes derived from the agent's secret, so that a new secret invalidates all links.
        base_url: prefix of the path; empty for relative links, which clients resolve against the agent's address.
    """

    def __init__(self, key: bytes, clock: Clock, *, lifetime_s: float = 3600.0, base_url: str = "") -> None:
        self._key = key
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._base_url = base_url.rstrip("/")

    def sign(self, kind: str, name: str) -> str:
        """Return a link to the file `name` of the kind `snapshots` or `recordings`."""
        expires = str(int(self._clock.now().timestamp() + self._lifetime_s))
        signature = self._signature(kind, name, expires)
        return f"{self._base_url}/files/{kind}/{quote(name)}?expires={expires}&sig={signature}"

    def is_valid(self, kind: str, name: str, expires: str, signature: str) -> bool:
        """Return True if the signature is that of `sign` for this file, and the link has not expired."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        good = hmac.compare_digest(self._signature(kind, name, expires).encode(), signature.encode())
        return good and int(expires) > self._clock.now().timestamp()

    def _signature(self, kind: str, name: str, expires: str) -> str:
        # None of the three can hold a line feed unescaped: kind and expires are ours, and name comes last.
        text = f"{kind}\n{expires}\n{name}".encode(errors="surrogatepass")
        return urlsafe_b64encode(hmac.digest(self._key, text, hashlib.sha256)).rstrip(b"=").decode()
