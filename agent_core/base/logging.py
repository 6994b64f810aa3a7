"""Logging to standard error: one line per record with `camera=` and `request_id=`, or one JSON object per line.

Where standard error leads to systemd's journal, records go there directly, with these as fields of the journal.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.journal import JOURNAL_SOCKET, JournalHandler, leads_to_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("configure", "fields", "set_format", "set_level")

#: Characters that JSON leaves unescaped but terminals interpret (C1, direction marks, line separators), and
#: surrogates, which UTF-8 cannot encode.
_UNFIT = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)

_STDERR_FD = 2
#: Loggers of the HTTP client.
_QUIET_LOGS = ("httpx", "httpcore")
_FIELDS: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("log_fields", default=())


@contextmanager
def fields(**values: str) -> Iterator[None]:
    """Add `values` to every record made inside the context, in this task and the tasks that it starts."""
    token = _FIELDS.set((*_FIELDS.get(), *values.items()))
    try:
        yield
    finally:
        _FIELDS.reset(token)


def _context(record: logging.LogRecord) -> dict[str, str]:
    """Return the task's fields, overridden by the call's own, given as `extra={"fields": {...}}`."""
    return dict(_FIELDS.get()) | getattr(record, "fields", {})


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _escaped(text: str) -> str:
    """Return `text` with Python escapes for characters that end lines, move the cursor or change text direction.

    Texts from clients and devices, such as names of cameras and files, may contain them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _MessageFormatter(logging.Formatter):
    """Text without the time and the level, which the journal keeps by itself."""

    def format(self, record: logging.LogRecord) -> str:
        context = "".join(f" {name}={value}" for name, value in _context(record).items())
        line = f"{record.name}: {_escaped(f'{record.getMessage()}{context}')}"
        if not record.exc_info:
            return line
        # Indented, because lines of an exception's message may look like log records.
        trace = self.formatException(record.exc_info).split("\n")
        return "\n".join([line, *(f"  {_escaped(each)}" for each in trace)])


class _TextFormatter(_MessageFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_timestamp(record)} {record.levelname:<7} {super().format(record)}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _UNFIT.sub(_json_escape, json.dumps(entry, ensure_ascii=False))


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def configure(
    level: str,
    form: str,
    *,
    environment: "Mapping[str, str]" = os.environ,
    descriptor: int = _STDERR_FD,
    journal: Path = JOURNAL_SOCKET,
) -> None:
    """Send all logging to standard error, or to the journal if that reads it. Called once, by the agent's process.

    Args:
        level: as for `set_level`.
        form: `text` or `json`.
        environment: in which systemd names the stream that the journal reads.
        descriptor: standard error.
        journal: the journal's socket.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    if leads_to_journal(descriptor, environment):
        handler = JournalHandler(journal, _context, handler)
        handler.setFormatter(_journal_formatter(form))
    logging.basicConfig(handlers=[handler], force=True, level=logging.WARNING)
    set_level(level)


def _formatter(form: str) -> logging.Formatter:
    return _JsonFormatter() if form == "json" else _TextFormatter()


def _journal_formatter(form: str) -> logging.Formatter:
    return _JsonFormatter() if form == "json" else _MessageFormatter()


def set_format(form: str) -> None:
    """Change the form of the log that `configure` began; handlers of others stay as they are."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, JournalHandler):
            handler.setFormatter(_journal_formatter(form))
            handler.otherwise.setFormatter(_formatter(form))
        elif isinstance(handler.formatter, _JsonFormatter | _TextFormatter):
            handler.setFormatter(_formatter(form))


def set_level(level: str) -> None:
    """Set the log level of the agent and its plugins; libraries log warnings only, unless `level` is `debug`.

    The HTTP client never logs more: its lines have whole addresses, some of which are secrets, and headers.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger("camera_agent").setLevel(numeric)
    logging.getLogger().setLevel(numeric if numeric <= logging.DEBUG else logging.WARNING)
    for name in _QUIET_LOGS:
        logging.getLogger(name).setLevel(max(numeric, logging.WARNING))
