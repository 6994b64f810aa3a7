"""The table of errors in docs/api.md, compared with the errors that clients of the tests receive."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"^\| (-32\d{3}) \| ([^|]+) \| (.*) \| ?(.*) \|$", re.MULTILINE)
_WORD = re.compile(r"`([a-z][a-z0-9_]*)`")
#: Members that each error has.
_ALWAYS = frozenset({"reason", "details", "suggestion"})
#: Failures of what the agent depends on have the words of cameras, FFmpeg and media servers, of which the table lists none.
OPEN_CODES = frozenset({-32050})


class ErrorTable:
    """Messages, reasons and further members of `data` by code, as a client author reads them.

    Attributes:
        reasons: words that are told; they may also stand in another part of docs/api.md or in the README of a plugin.
    """

    def __init__(self) -> None:
        text = (ROOT / "docs/api.md").read_text()
        more = [path.read_text() for path in sorted((ROOT / "plugins").glob("*/README.md"))]
        self.reasons = frozenset(_WORD.findall("\n".join((text, *more))))
        self._rows = {
            int(code): (message, _ALWAYS | {*_WORD.findall(members)})
            for code, message, _, members in _ROW.findall(
                text.partition("## Errors\n")[2].partition("\n## ")[0]
            )
        }

    def faults(self, error: Any) -> list[str]:
        """Return how an error on the wire differs from what the documents tell about its code."""
        code, data = error["code"], error.get("data", {})
        if code not in self._rows:
            return [f"{code} is not in the table of errors"]
        message, members = self._rows[code]
        found = (
            [] if error.get("message") == message else [f"{code} has the message {error.get('message')!r}"]
        )
        found += [
            f"{code} has {name} in its data, which its row does not name"
            for name in sorted({*data} - members)
        ]
        if code not in OPEN_CODES and data.get("reason") not in self.reasons:
            found.append(f"{code} has the reason {data.get('reason')}, which no document names")
        return found
