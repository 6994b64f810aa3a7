"""Redaction of the media server's messages."""

import re

__all__ = ("without_addresses", "without_credentials")

#: A scheme is looked for at the start of a word only: at each of its letters, a long word would be read as often.
_ADDRESSES = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s'\"]+|(?<![\w.])/[^\s'\":,]+", re.IGNORECASE)
_AUTHORITY = re.compile(r"://[^\s'\"]*")


def without_addresses(text: str) -> str:
    """For clients: neither URLs nor files of the server's host."""
    return _ADDRESSES.sub("<address>", text)


def without_credentials(text: str) -> str:
    """For logs: whatever stands between `://` and the last `@` of a word is left out."""
    return _AUTHORITY.sub(_without_user, text)


def _without_user(found: re.Match[str]) -> str:
    _, at, rest = found[0].rpartition("@")
    return f"://***@{rest}" if at else found[0]
