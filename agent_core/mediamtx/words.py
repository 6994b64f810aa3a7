"""What a media server says, made fit for others."""

import re

__all__ = ("without_addresses", "without_credentials")

_ADDRESSES = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]+|(?<![\w.])/[^\s'\":,]+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")


def without_addresses(text: str) -> str:
    """For clients: neither URLs nor files of the server's host."""
    return _ADDRESSES.sub("<address>", text)


def without_credentials(text: str) -> str:
    """For logs: whatever stands between `://` and the last `@` of a word is left out."""
    return _CREDENTIALS.sub("***@", text)
