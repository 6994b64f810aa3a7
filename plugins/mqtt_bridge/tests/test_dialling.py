"""Connections that are given up while they are made."""

import gc
import socket

import anyio
from anyio.lowlevel import checkpoint

from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.dialler import Dialler


async def test_no_socket_stays_open_whenever_the_attempt_is_cancelled() -> None:
    dialler = Dialler()
    ended = 0
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        address = BrokerAddress.parse(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        await dialler.resolve(address)
        for turns in range(60):
            opened: list[socket.socket] = []

            async def attempt(found: list[socket.socket] = opened) -> None:
                found.append(await dialler.open(address, None, None))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(attempt)
                for _ in range(turns):
                    await checkpoint()
                tasks.cancel_scope.cancel()
            for each in opened:
                each.close()
            ended += not opened
    gc.collect()  # a socket that is lost is a warning, and so an error
    assert ended, "no attempt was cancelled, so this has tried nothing"
