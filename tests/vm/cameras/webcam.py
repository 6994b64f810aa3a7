"""Simulated USB device: answers the kernel's requests and sends pictures at the negotiated rate."""

import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.vm.cameras import usbip
from tests.vm.cameras.controls import Controls, NoAnswer
from tests.vm.cameras.descriptors import Descriptors
from tests.vm.cameras.function import SentFrame, VideoFunction, Waiting
from tests.vm.cameras.layout import Layout
from tests.vm.cameras.payloads import Fault

__all__ = ("GONE", "SentFrame", "Webcam")

EPIPE, ENOSPC = 32, 28
STANDARD, CLASS = 0x00, 0x20
GET_STATUS, GET_DESCRIPTOR, GET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 0, 6, 8, 10, 11
KEPT_FRAMES = 5000
#: Errors of a socket closed at either end.
GONE = (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Webcam:
    """Camera on one socket, unplugged when the kernel closes the socket or `run` is cancelled.

    Function number N has the control interface 2N, the streaming interface 2N + 1 and the endpoint N + 1.
    """

    def __init__(self, layout: Layout, stream: ByteStream) -> None:
        self._stream = stream
        self._send_lock = anyio.Lock()
        self.controls = Controls(layout)
        self.sent: deque[SentFrame] = deque(maxlen=KEPT_FRAMES)
        self._descriptors = Descriptors(layout, self.controls)
        self._functions = [
            VideoFunction(layout, formats, self._send, self.sent) for formats in layout.functions
        ]

    def set_fault(self, fault: Fault | None, function: int | None = None) -> None:
        """Set the fault of one function, or of all."""
        for each in self._functions if function is None else [self._functions[function]]:
            each.set_fault(fault)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for work in (self._answer_requests, *(each.run for each in self._functions)):
                tasks.start_soon(self._until_gone, work, tasks.cancel_scope)

    async def _until_gone(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        with suppress(*GONE):
            await work()
        scope.cancel()

    async def _answer_requests(self) -> None:
        received = BufferedByteReceiveStream(self._stream)
        while True:
            message = usbip.parse(await received.receive_exactly(usbip.HEADER_BYTES))
            follows_bytes = message.follows_bytes if isinstance(message, usbip.Submit) else 0
            data = await received.receive_exactly(follows_bytes) if follows_bytes else b""
            if isinstance(message, usbip.Unlink):
                was_waiting = any(each.take_back(message.victim) for each in self._functions)
                await self._send(usbip.unlink_reply(message, was_waiting=was_waiting))
            elif message.endpoint:
                waiting = Waiting(message, tuple(usbip.packet_bytes(data)))
                self._functions[message.endpoint - 1].wait(waiting)
            elif not all(each.fault == "hang" for each in self._functions):
                await self._answer(message, data)

    async def _answer(self, submit: usbip.Submit, data: bytes) -> None:
        kind, request, value, index, length = struct.unpack("<BBHHH", submit.setup)
        if (kind & 0x60, request) == (STANDARD, SET_INTERFACE) and value and self._lacks_bandwidth(index):
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

    def _lacks_bandwidth(self, interface: int) -> bool:
        return self._functions[interface // 2].fault == "no_bandwidth"

    def _control(self, kind: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        if kind == STANDARD:
            return self._standard(request, value)
        if kind != CLASS:
            return None
        function, is_streaming = divmod(index & 0xFF, 2)
        if is_streaming:
            return self._functions[function].request(value >> 8, request, data)
        return None if function else self.controls.request(index >> 8, value >> 8, request, data)

    def _standard(self, request: int, value: int) -> bytes | None:
        if request == GET_DESCRIPTOR:
            return self._descriptors.find(value >> 8, value & 0xFF)
        return {GET_STATUS: b"\0\0", GET_CONFIGURATION: b"\1", GET_INTERFACE: b"\0"}.get(request, b"")

    async def _send(self, message: bytes) -> None:
        async with self._send_lock:
            await self._stream.send(message)
