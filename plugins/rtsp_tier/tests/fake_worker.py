"""Worker without a decoder, for tests of its client: the address of a stream, or its first argument, is its fault.

Usage: fake_worker.py MODE LOG. It appends its process id and the class of each message to LOG.
"""

import io
import os
import signal
import sys
import time
from pathlib import Path

from PIL import Image

from rtsp_tier.messages import (
    TO_WORKER,
    Configure,
    Decoder,
    Failed,
    Message,
    OpenReader,
    Ping,
    Pong,
    ReaderEnded,
    ReaderOpen,
    Reason,
    StreamOpen,
    Taken,
    TakeOnce,
    TakeResident,
    encode,
)

MB = 1 << 20


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), "tomato").save(buffer, "JPEG")
    return buffer.getvalue()


class Worker:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._rss_bytes = 50 * MB
        self._urls: dict[int, str] = {}
        self._picture = jpeg()
        self._refusals = 0

    def note(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{line}\n")

    def answer(self, message: Message) -> None:
        self.note(type(message).__name__)
        match message:
            case Ping(number=number):
                self._send(Pong(number, self._rss_bytes))
            case OpenReader(reader=reader, url=url):
                self._urls[reader] = url
                if "heavy" in url:
                    self._rss_bytes = 300 * MB
                ended = ReaderEnded(reader, Reason.STREAM_ENDED, "It ended.")
                if "unconnected" not in url:
                    self._send(ended if "ends" in url else ReaderOpen(reader))
            case TakeOnce(request=request, url=url):
                if "unconnected" not in url:
                    self._send(StreamOpen(request))
                self._take(message, url)
            case TakeResident(reader=reader):
                self._take(message, self._urls[reader])
            case Configure():
                pass

    def _take(self, message: TakeOnce | TakeResident, url: str) -> None:
        fault = url.rpartition("/")[2]
        match fault:
            case "crash":
                os._exit(3)
            case "garbage":
                self._write(b"HTTP/1.1 200 OK\r\n\r\n")
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "slow" | "unconnected":
                pass
            case "large" | "huge":
                self._rss_bytes = (300 if fault == "large" else 900) * MB
                self._picked(message)
            case "late" if not self._refusals:
                self._refusals += 1
                self._send(Failed(message.request, Reason.NOT_LIVE, "It is not live.", "Try again."))
            case "starts" if self._refusals < 2:
                self._refusals += 1
                self._send(Failed(message.request, Reason.TIMED_OUT, "It could not be opened.", "Try again."))
            case "ends" if isinstance(message, TakeResident):
                self._send(Failed(message.request, Reason.NO_READER, "It had ended.", "Try again."))
            case reason if reason in set(Reason):
                self._send(Failed(message.request, Reason(reason), "It failed.", "Try again."))
            case _:
                self._picked(message)

    def _picked(self, message: TakeOnce | TakeResident) -> None:
        self._send(Taken(message.request, 32, 16, time.monotonic(), self._picture))

    def _send(self, message: Message) -> None:
        self._write(encode(message))

    def _write(self, data: bytes) -> None:
        os.write(1, data)


def main(mode: str, log: Path) -> int:
    worker = Worker(log)
    worker.note(f"pid {os.getpid()}")
    if mode == "exits":
        return 1
    if mode == "silent":
        time.sleep(600)
    decoder = Decoder(TO_WORKER)
    while data := os.read(0, 65536):
        for message in decoder.feed(data):
            worker.answer(message)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
