"""Video function of a simulated device: one streaming interface with its endpoint, behind which the kernel makes a node."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from tests.vm.cameras import usbip
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.cameras.negotiation import COMMIT, Negotiation
from tests.vm.cameras.payloads import Fault, payloads
from tests.vm.cameras.pictures import Pictures

__all__ = ("SentFrame", "VideoFunction", "Waiting")

EPROTO = 71


@dataclass(frozen=True, slots=True)
class SentFrame:
    """Record of a sent picture; `index` starts at 0 with each stream and selects the file, modulo their count.

    The times (CLOCK_MONOTONIC) are those of the first and the last byte sent to the kernel.
    """

    index: int
    format: str
    width: int
    height: int
    size_bytes: int
    started_ns: int
    ended_ns: int
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Transfer that waits for part of a picture; `packets` are the buffer lengths of an isochronous one."""

    submit: usbip.Submit
    packets: tuple[int, ...] = ()


class VideoFunction:
    """Function that sends pictures at the negotiated rate, in replies to the kernel's waiting transfers.

    Args:
        layout: the camera's.
        formats: formats of this function.
        send: sends a message to the kernel.
        sent: receives the record of each picture.
    """

    def __init__(
        self,
        layout: Layout,
        formats: list[tuple[str, tuple[FrameSize, ...]]],
        send: Callable[[bytes], Awaitable[None]],
        sent: deque[SentFrame],
    ) -> None:
        self._negotiation = Negotiation(layout, formats)
        self._pictures = Pictures(layout)
        self._send = send
        self._sent = sent
        self.fault: Fault | None = None
        self._changed = anyio.Event()
        self._waiting: deque[Waiting] = deque()
        self._index = 0
        self._starts = 0
        self._due_s = 0.0

    def set_fault(self, fault: Fault | None) -> None:
        self.fault = fault
        self._wake()

    def request(self, selector: int, code: int, data: bytes) -> bytes | None:
        """Return the answer to a request to the streaming interface, or None to refuse it."""
        answer = self._negotiation.request(selector, code, data)
        if answer == b"" and selector == COMMIT:
            self._index = 0
            self._starts += 1
            self._due_s = time.monotonic()
        return answer

    def wait(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        self._wake()

    def take_back(self, number: int) -> bool:
        """Forget the transfer with this number; return whether it was waiting."""
        remaining = [each for each in self._waiting if each.submit.number != number]
        was_waiting = len(remaining) < len(self._waiting)
        self._waiting = deque(remaining)
        return was_waiting

    async def run(self) -> None:
        while True:
            await self._until(lambda: bool(self._waiting) and self.fault not in ("stall", "hang"))
            if self.fault == "protocol_error":
                await self._send(usbip.submit_reply(self._waiting.popleft().submit, status=-EPROTO))
                continue
            await anyio.sleep(max(0.0, self._due_s - time.monotonic()))
            if self._waiting:
                await self._send_picture()

    async def _send_picture(self) -> None:
        negotiated, fault, index = self._negotiation, self.fault, self._index
        size, kind, stream = negotiated.size, negotiated.format, self._starts - 1
        picture = self._pictures.of(kind, size, index, stream, without_key=fault == "no_key")
        started_ns = time.monotonic_ns()
        self._due_s = max(self._due_s + negotiated.interval_s, time.monotonic())
        self._index += 1
        parts = payloads(
            picture,
            parity=index,
            at_s=started_ns / 1e9,
            payload_bytes=negotiated.payload_bytes,
            largest_bytes=size.raw_bytes,
            fault=fault,
        )
        size_bytes, starts = len(picture), self._starts
        while parts:
            await self._until(lambda: bool(self._waiting))
            if self._starts != starts:
                return  # another stream has started
            await self._send(_filled(self._waiting.popleft(), parts))
        sent = (index, kind, size.width, size.height, size_bytes, started_ns, time.monotonic_ns(), fault)
        self._sent.append(SentFrame(*sent))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _filled(waiting: Waiting, parts: list[bytes]) -> bytes:
    """Remove the next part from `parts`, or one per packet of an isochronous transfer, and return the reply."""
    if not waiting.packets:
        return usbip.submit_reply(waiting.submit, data=parts.pop(0))
    taken = parts[: len(waiting.packets)]
    del parts[: len(taken)]
    lengths = [len(each) for each in taken] + [0] * (len(waiting.packets) - len(taken))
    packets = list(zip(waiting.packets, lengths, strict=True))
    return usbip.submit_reply(waiting.submit, data=b"".join(taken), packets=packets)
