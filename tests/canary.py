"""What secrets look like, for the search in all that the tests see; a planted secret contains `CANARY`."""

import logging
import os
import re
from collections.abc import Iterable
from typing import ClassVar

CANARY = "canary-7f3c9e"
_KEY = r"[cfm]k_[A-Za-z0-9_-]{43}"
_TOKEN = r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"
#: A planted secret, a key of either kind or of a fleet, or a token.
SECRET = re.compile(f"{CANARY}|{_KEY}|{_TOKEN}")
#: The same, or the signature or secret of a link: results contain links, logs must not.
SECRET_IN_LOG = re.compile(rf"{SECRET.pattern}|(?:sig|view)=[A-Za-z0-9_-]{{43}}")


class SecretWatch(logging.Handler):
    """Log handler that keeps the records with a secret, their tracebacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if SECRET_IN_LOG.search(text):
            self.found.append(text)


#: The answer to `create_api_key` is the one text that holds a key.
_CREATED = re.compile(rf'"key":\s?"{_KEY}"')


def secret_in(text: str) -> bool:
    """Return True if a client was sent a secret."""
    return bool(SECRET.search(_CREATED.sub("", text)))


class ReceivedWatch(logging.Filter):
    """Filter of the log of WebSocket clients, which has each frame: keeps the ones received that hold a secret.

    Nothing else sees what that log has below INFO.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == "< %s" and isinstance(record.args, tuple):
            text = bytes(getattr(record.args[0], "data", b"")).decode(errors="replace")
            if secret_in(text):
                self.found.append(text)
        return record.levelno >= logging.INFO


class ArgumentWatch:
    """Keeps the arguments of the programs that this process starts if they hold a secret; `look` is an audit hook."""

    #: The position of the arguments among those of the event.
    _EVENTS: ClassVar = {"subprocess.Popen": 1, "os.posix_spawn": 1, "os.exec": 1}

    def __init__(self) -> None:
        self.found: list[str] = []

    def look(self, event: str, arguments: tuple[object, ...]) -> None:
        at = self._EVENTS.get(event)
        if at is None:
            return
        words = arguments[at]
        given = [words] if isinstance(words, str | bytes) or not isinstance(words, Iterable) else words
        text = " ".join(os.fsdecode(each) for each in given if isinstance(each, str | bytes | os.PathLike))
        if SECRET.search(text):
            self.found.append(text)
