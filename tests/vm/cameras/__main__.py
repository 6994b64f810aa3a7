"""Server that plugs in simulated webcams and runs commands as root, for tests without root's rights.

    python3 -m tests.vm.cameras SOCKET

A request and its answer are a line of JSON each. A camera is unplugged when its connection closes.
"""

import json
import os
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream, TaskGroup, UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.vm.cameras.layout import Layout
from tests.vm.cameras.payloads import FAULTS
from tests.vm.cameras.port import Ports
from tests.vm.cameras.webcam import GONE, Webcam

LONGEST_REQUEST_BYTES = 1 << 16
Answer = dict[str, Any]


class Session:
    """Connection with at most one camera."""

    def __init__(self, ports: Ports, tasks: TaskGroup) -> None:
        self._ports = ports
        self._tasks = tasks
        self._camera: Webcam | None = None
        self._socket: UNIXSocketStream | None = None
        self._port = -1

    async def answer(self, request: dict[str, Any]) -> Answer:
        match request:
            case {"do": "plug", "layout": str(layout), "port": int() | None as port}:
                return await self._plug(Layout.from_json(layout), port)
            case {"do": "unplug"}:
                await self.unplug()
                return {}
            case {"do": "fault", "fault": fault, "function": function} if fault is None or fault in FAULTS:
                self._plugged().set_fault(fault, function)
                return {}
            case {"do": "state"}:
                camera = self._plugged()
                return {
                    "sent": [asdict(each) for each in camera.sent],
                    "controls": camera.controls.values,
                    "history": camera.controls.history,
                }
            case {"do": "run", "argv": list(argv)}:
                done = await anyio.run_process(argv, check=False, stderr=-2)
                return {"status": done.returncode, "output": done.stdout.decode()}
        raise ValueError(f"unknown request: {request}")

    async def _plug(self, layout: Layout, port: int | None) -> Answer:
        if self._camera is not None:
            raise ValueError("this connection already has a camera; unplug it first")
        ours, kernels = socket.socketpair()
        with kernels:
            stream = await UNIXSocketStream.from_socket(ours)
            camera = Webcam(layout, stream)
            self._tasks.start_soon(camera.run)
            self._port = self._ports.attach(port, kernels)
        self._camera, self._socket = camera, stream
        return {"port": self._port}

    async def unplug(self) -> None:
        if self._socket is not None:
            await self._socket.aclose()
            await self._ports.freed(self._port)
        self._camera = self._socket = None

    def _plugged(self) -> Webcam:
        if self._camera is None:
            raise ValueError("this connection has no camera; plug one in first")
        return self._camera


async def converse(stream: SocketStream, ports: Ports) -> None:
    received = BufferedByteReceiveStream(stream)
    async with stream, anyio.create_task_group() as tasks:
        session = Session(ports, tasks)
        try:
            while True:
                line = await received.receive_until(b"\n", LONGEST_REQUEST_BYTES)
                try:
                    answer = await session.answer(json.loads(line))
                except (OSError, ValueError, TypeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                await stream.send(json.dumps(answer).encode() + b"\n")
        except GONE:
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await session.unplug()
            tasks.cancel_scope.cancel()


async def main(path: Path) -> None:
    ports = Ports()

    async def serve(stream: SocketStream) -> None:
        await converse(stream, ports)

    listener = await anyio.create_unix_listener(path, mode=0o666)
    async with listener:
        await listener.serve(serve)


if __name__ == "__main__":
    os.umask(0o022)
    anyio.run(main, Path(sys.argv[1]))
