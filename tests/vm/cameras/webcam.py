"""Simulated USB device: answers the kernel's requests and sends pictures at the negotiated rate."""

import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.vm.cameras import usbip
from tests.vm.cameras.controls import Controls, NoAnswer
from tests.vm.cameras.descriptors import Descriptors
from tests.vm.cameras.layout import Layout
from tests.vm.cameras.negotiation import COMMIT, Negotiation
from tests.vm.cameras.payloads import Fault, payloads
from tests.vm.cameras.pictures import Pictures

__all__ = ("GONE", "SentFrame", "Webcam")

EPIPE, ENOSPC, EPROTO = 32, 28, 71
STANDARD, CLASS = 0x00, 0x20
GET_STATUS, GET_DESCRIPTOR, GET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 0, 6, 8, 10, 11
STREAMING_INTERFACE = 1
KEPT_FRAMES = 5000
#: Errors of a socket closed at either end.
GONE = (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


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


class Webcam:
    """Camera on one socket, unplugged when the kernel closes the socket or `run` is cancelled."""

    def __init__(self, layout: Layout, stream: ByteStream) -> None:
        self._stream = stream
        self._send_lock = anyio.Lock()
        self.controls = Controls(layout)
        self.negotiation = Negotiation(layout)
        self.sent: deque[SentFrame] = deque(maxlen=KEPT_FRAMES)
        self.fault: Fault | None = None
        self._changed = anyio.Event()
        self._descriptors = Descriptors(layout, self.controls)
        self._pictures = Pictures(layout)
        self._waiting: deque[Waiting] = deque()
        self._index = 0
        self._starts = 0
        self._due_s = 0.0

    def set_fault(self, fault: Fault | None) -> None:
        self.fault = fault
        self._wake()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for work in (self._send_pictures, self._answer_requests):
                tasks.start_soon(self._until_gone, work, tasks.cancel_scope)

    async def _until_gone(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        with suppress(*GONE):
            await work()
        scope.cancel()

    # Requests

    async def _answer_requests(self) -> None:
        received = BufferedByteReceiveStream(self._stream)
        while True:
            message = usbip.parse(await received.receive_exactly(usbip.HEADER_BYTES))
            follows_bytes = message.follows_bytes if isinstance(message, usbip.Submit) else 0
            data = await received.receive_exactly(follows_bytes) if follows_bytes else b""
            if isinstance(message, usbip.Unlink):
                await self._take_back(message)
            elif message.endpoint:
                self._waiting.append(Waiting(message, tuple(usbip.packet_bytes(data))))
                self._wake()
            elif self.fault != "hang":
                await self._answer(message, data)

    async def _take_back(self, unlink: usbip.Unlink) -> None:
        remaining = [each for each in self._waiting if each.submit.number != unlink.victim]
        was_waiting = len(remaining) < len(self._waiting)
        self._waiting = deque(remaining)
        await self._send(usbip.unlink_reply(unlink, was_waiting=was_waiting))

    async def _answer(self, submit: usbip.Submit, data: bytes) -> None:
        kind, request, value, index, length = struct.unpack("<BBHHH", submit.setup)
        if (kind & 0x60, request) == (STANDARD, SET_INTERFACE) and value and self.fault == "no_bandwidth":
            # The kernel's virtual host has unlimited bandwidth, but forwards the status of this request.
            await self._send(usbip.submit_reply(submit, status=-ENOSPC))
            return
        try:
            answer = self._control(kind & 0x60, request, value, index, data)
        except NoAnswer:
            return
        if answer is None:
            await self._send(usbip.submit_reply(submit, status=-EPIPE))
        else:
            await self._send(usbip.submit_reply(submit, data=answer[:length] if submit.to_host else b""))

    def _control(self, kind: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        if kind == STANDARD:
            return self._standard(request, value)
        if kind != CLASS:
            return None
        if index & 0xFF == STREAMING_INTERFACE:
            answer = self.negotiation.request(value >> 8, request, data)
            if answer == b"" and value >> 8 == COMMIT:
                self._start_stream()
            return answer
        return self.controls.request(index >> 8, value >> 8, request, data)

    def _standard(self, request: int, value: int) -> bytes | None:
        if request == GET_DESCRIPTOR:
            return self._descriptors.find(value >> 8, value & 0xFF)
        return {GET_STATUS: b"\0\0", GET_CONFIGURATION: b"\1", GET_INTERFACE: b"\0"}.get(request, b"")

    def _start_stream(self) -> None:
        self._index = 0
        self._starts += 1
        self._due_s = time.monotonic()

    # Pictures

    async def _send_pictures(self) -> None:
        while True:
            await self._until(lambda: bool(self._waiting) and self.fault not in ("stall", "hang"))
            if self.fault == "protocol_error":
                await self._send(usbip.submit_reply(self._waiting.popleft().submit, status=-EPROTO))
                continue
            await anyio.sleep(max(0.0, self._due_s - time.monotonic()))
            if self._waiting:
                await self._send_picture()

    async def _send_picture(self) -> None:
        size, kind, fault, index = self.negotiation.size, self.negotiation.format, self.fault, self._index
        stream = self._starts - 1
        picture = self._pictures.of(kind, size, index, stream, without_key=fault == "no_key")
        started_ns = time.monotonic_ns()
        self._due_s = max(self._due_s + self.negotiation.interval_s, time.monotonic())
        self._index += 1
        parts = payloads(
            picture,
            parity=index,
            at_s=started_ns / 1e9,
            payload_bytes=self.negotiation.payload_bytes,
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
        self.sent.append(SentFrame(*sent))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _send(self, message: bytes) -> None:
        async with self._send_lock:
            await self._stream.send(message)


def _filled(waiting: Waiting, parts: list[bytes]) -> bytes:
    """Remove the next part from `parts`, or one per packet of an isochronous transfer, and return the reply."""
    if not waiting.packets:
        return usbip.submit_reply(waiting.submit, data=parts.pop(0))
    taken = parts[: len(waiting.packets)]
    del parts[: len(taken)]
    lengths = [len(each) for each in taken] + [0] * (len(waiting.packets) - len(taken))
    packets = list(zip(waiting.packets, lengths, strict=True))
    return usbip.submit_reply(waiting.submit, data=b"".join(taken), packets=packets)
