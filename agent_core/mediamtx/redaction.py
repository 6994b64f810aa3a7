"""Redaction of the media server's messages."""

import re

__all__ = ("without_addresses", "without_credentials")

#: Searches for a scheme at the start of a word only; from each letter it would take quadratic time on a long word.
_ADDRESSES = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s'\"]+|(?<![\w.])/[^\s'\":,]+", re.IGNORECASE)
#: Parameters of cameras' addresses whose values are secret.
_PARAMETERS = re.compile(
    r"(?<![a-z0-9])((?:password|passphrase|passwd|pass|pwd|psw|token|secret|auth|api_?key)=)[^\s&;'\"]+",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"://[^\s'\"]*")


def without_addresses(text: str) -> str:
    """Return `text` for clients: without URLs and file paths of the server's host."""
    return _ADDRESSES.sub("<address>", text)


def without_credentials(text: str) -> str:
    """Return `text` for logs: without the text between `://` and the last `@` of a word, and secret parameters."""
    return _PARAMETERS.sub(r"\1***", _AUTHORITY.sub(_without_user, text))


def _without_user(found: re.Match[str]) -> str:
    _, at, rest = found[0].rpartition("@")
    return f"://***@{rest}" if at else found[0]
