"""What secrets look like, for the search in all that the tests see; a planted secret contains `CANARY`."""

import logging
import re

CANARY = "canary-7f3c9e"
_KEY = r"ck_[A-Za-z0-9_-]{43}"
_TOKEN = r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"
#: A planted secret, an API key or a token.
SECRET = re.compile(f"{CANARY}|{_KEY}|{_TOKEN}")
#: The same, or the signature of a link: results contain links, logs must not.
SECRET_IN_LOG = re.compile(rf"{SECRET.pattern}|sig=[A-Za-z0-9_-]{{43}}")


class SecretWatch(logging.Handler):
    """Log handler that keeps the records with a secret, their tracebacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if SECRET_IN_LOG.search(text):
            self.found.append(text)
