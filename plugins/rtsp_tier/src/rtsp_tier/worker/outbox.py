"""Way of messages to the plugin."""

import os
from threading import Lock

from rtsp_tier.messages import Message, encode

__all__ = ("Outbox",)


class Outbox:
    """Writer of whole messages to a descriptor, for any thread. It blocks while the plugin does not read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = Lock()

    def send(self, message: Message) -> None:
        """Write `message`. Raises OSError if the plugin has closed its end."""
        view = memoryview(encode(message))
        with self._lock:
            while view:
                view = view[os.write(self._descriptor, view) :]
