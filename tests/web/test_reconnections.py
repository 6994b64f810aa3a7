"""Clients that reconnect again and again, over real sockets: with replays, each gets every event once."""

import json
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from websockets.asyncio.client import ClientConnection, connect

from agent_core.web.server import RpcServer
from tests.toy_server import Serve, Toy, call, url

TOPIC = "camera.connected"
CLIENTS, ROUNDS, PER_ROUND = 40, 6, 25
LIMITS = {"max_connections": 200, "max_connections_per_address": 200, "max_unauthenticated_connections": 200}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Return a toy whose clients may lag behind; each may open as many connections as it likes."""
    auth = {"calls_per_s": 1000, "calls_burst": 100_000}
    return Toy(tmp_path / "state", sections={"auth": auth, "server": {"max_queued_events": 1000}})


class Follower:
    """Client that remembers where it is, and reconnects after some events."""

    def __init__(self, toy: Toy) -> None:
        self._toy = toy
        self._place = {"boot_id": toy.bus.boot_id, "sequence": 0}
        self.got: list[int] = []

    async def follow(self, server: RpcServer, until: int) -> None:
        """Read until it has `until` events; leave in the middle of what is sent, without a goodbye."""
        async with connect(url(server), compression=None, proxy=None, open_timeout=60) as socket:
            await call(socket, "authenticate", auth_token=self._toy.token())
            await call(socket, "subscribe_events", topics=[TOPIC], replay_since=self._place)
            with anyio.fail_after(60):
                while len(self.got) < until:
                    await self._take(socket)
            socket.transport.abort()

    async def _take(self, socket: ClientConnection) -> None:
        told = json.loads(await socket.recv())
        assert told["method"] == TOPIC, told
        self._place["sequence"] = told["params"]["sequence"]
        self.got.append(told["params"]["sequence"])


@pytest.mark.timeout(120)
async def test_a_storm_of_reconnections_loses_and_doubles_nothing(toy: Toy, serve: Serve) -> None:
    followers = [Follower(toy) for _ in range(CLIENTS)]
    async with serve(**LIMITS) as server, anyio.create_task_group() as tasks:

        async def publish() -> None:
            for number in range(ROUNDS * PER_ROUND):
                toy.bus.publish(TOPIC, {"number": number})
                await checkpoint()

        for turn in range(ROUNDS):
            async with anyio.create_task_group() as round_tasks:
                if turn == 1:
                    tasks.start_soon(publish)
                for index, follower in enumerate(followers):
                    # Each leaves at another place; in the end, all have all.
                    wanted = (
                        max(0, turn * PER_ROUND - index % PER_ROUND)
                        if turn < ROUNDS - 1
                        else ROUNDS * PER_ROUND
                    )
                    round_tasks.start_soon(follower.follow, server, wanted)
        assert [each.got for each in followers] == [list(range(1, ROUNDS * PER_ROUND + 1))] * CLIENTS
    assert len(toy.sessions) == 0
    assert len(toy.bus) == 0
