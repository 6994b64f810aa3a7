"""Secret parameters in the paths and queries of streams' addresses. Apart from the address, because cameras' parameters grow in number."""

import re
from collections.abc import Iterator

__all__ = ("HIDDEN", "hide_secrets", "secret_values")

#: Text in place of a secret value.
HIDDEN = "***"
#: Names of secret parameters. Those of the first group may follow letters, as in `accessToken` and `userpwd`.
_NAMES = (
    r"(?<![a-z0-9])(?:[a-z0-9]{0,20}(?:password|passphrase|passwd|pwd|token|secret(?:_?key)?|access_?key|stream_?key)"
    r"|(?:(?:user|login|admin)_?)?(?:pass|psw|auth)|api_?key|jwt|bearer|psk|sig|signature|loginpas)="
)
#: Beginnings of what ends a value: another parameter, and Xiongmai's, which are joined by `_`.
_NEXT = r"&|;[a-z0-9_.-]+=|_channel=|\Z"
#: MediaMTX's stream id of SRT: `read:path:user:password`.
_STREAM_ID = r"(?<![a-z0-9])streamid=(?:read|publish|request)(?::|%3a)(?:(?!%3a)[^&:])*(?::|%3a)"
#: In a query only `&` and `;` end a value: Base64 has slashes.
_IN_QUERY = re.compile(rf"({_STREAM_ID})([^&]*)|({_NAMES})(.*?)(?={_NEXT})", re.IGNORECASE)
_IN_PATH = re.compile(rf"({_STREAM_ID})([^&/]*)|({_NAMES})([^/]*?)(?=/|{_NEXT})", re.IGNORECASE)


def hide_secrets(path: str) -> str:
    """Return a path and its query with `HIDDEN` in place of each secret value, empty ones included."""
    before, mark, query = path.partition("?")
    return f"{_IN_PATH.sub(_hidden, before)}{mark}{_IN_QUERY.sub(_hidden, query)}"


def secret_values(path: str) -> Iterator[str]:
    """Yield the values of the secret parameters of a path and its query."""
    before, _, query = path.partition("?")
    for part, pattern in ((before, _IN_PATH), (query, _IN_QUERY)):
        for found in pattern.finditer(part):
            yield found[2] if found[1] else found[4]


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1] or found[3]}{HIDDEN}"
