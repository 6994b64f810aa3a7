"""Fuzz of the wire: a real agent answers whatever comes with a well-formed message, or closes the connection cleanly.

The messages are made from the agent's own document. All is seeded; Hypothesis shrinks a failing case and prints it.
"""

import json
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock
from tests.e2e.fuzz_cases import FRAMES, Frame, Messages
from tests.e2e.fuzz_wire import PeerClosed, RawPeer, Wire, entries, request

if TYPE_CHECKING:
    from tests.e2e.conftest import AgentProcessFactory

#: Cases in all, of which most are messages that come together.
CASES, FRAME_CASES, FLOOD_CASES = 20_000, 500, 1000
#: Messages sent together on one connection: the agent works on some of them while it reads the next.
TOGETHER = 25
#: Cases after which every part of the agent has been used and loaded once; its memory is measured from there.
WARM_UP_CASES = 6_000
#: No limit but that of running calls is to be reached: its refusal would hide what lies behind.
CONFIG = """
[server]
max_unauthenticated_connections = 1000
max_connections_per_address = 1000
event_journal_bytes = 65536
first_request_s = 600
[auth]
calls_per_s = 1000000
calls_burst = 1000000
failures_per_minute = 1000000
[logging]
level = "error"
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
cameras = [{ name = "Fuzz", id = "camera0", width = 160, height = 120 }]
"""
#: Rise of the memory over the last third, compared with the first.
MEMORY_LIMIT = 1.05

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    verbosity=Verbosity.quiet,  # the error names the shrunk case
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


#: Codes with which a server may close, RFC 6455 section 7.4.1: no 1011, which would be an error of its own.
_CLOSING = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013})


def exchange_frames(wire: Wire, frames: Sequence[Frame], cut_bytes: int) -> None:
    """Send the frames, without the last `cut_bytes`, then end; check all that comes until the server ends too."""
    peer = RawPeer(wire.url)
    try:
        sent = b"".join(each.encoded() for each in frames)
        with suppress(BrokenPipeError, ConnectionResetError):  # closed at the first wrong frame
            peer.socket.sendall(sent[: max(0, len(sent) - cut_bytes)])
            peer.socket.shutdown(socket.SHUT_WR)
        while (received := peer.frame()) is not None:
            opcode, payload = received
            if opcode == 8:
                assert not payload or struct.unpack_from(">H", payload)[0] in _CLOSING
            elif opcode == 1:
                for each in entries(payload.decode()):
                    wire.check(each, {})
            else:
                assert opcode == 10
    finally:
        peer.close()
    wire.check_log()
    wire.sent += 1


class Waiting:
    """Connections that are idle, or send a message byte by byte, beside all others."""

    _MESSAGE = Frame(request("drip", "ping").encode() + b" " * 20_000).encoded()

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle = [RawPeer(url, shakes_hands=False) for _ in range(5)]
        self._dripping: list[RawPeer] = []
        self._sent = 0

    def drip(self) -> None:
        """Send one byte more on each dripping connection; one that was closed is replaced.

        In the middle of a message they cannot answer pings, so the agent closes them in time.
        """
        try:
            for each in self._dripping:
                each.socket.sendall(self._MESSAGE[self._sent : self._sent + 1])
        except (BrokenPipeError, ConnectionResetError):
            self._end_dripping()
        if not self._dripping:
            self._dripping, self._sent = [RawPeer(self._url) for _ in range(5)], 0
        self._sent += 1

    def _end_dripping(self) -> None:
        for each in self._dripping:
            with pytest.raises(PeerClosed):
                each.receive()
            each.close()
        self._dripping = []

    def close(self) -> None:
        """Check that the idle ones are still served, and close all."""
        for each in self._dripping:
            each.close()
        for each in self._idle:
            each.shake_hands()
            each.send(request("late", "ping"))
            assert json.loads(each.receive())["result"] == "pong"
            each.close()


def flood(wire: Wire, count: int) -> None:
    """Send many calls without reading, then read: each is answered."""
    link = wire.connect()
    for number in range(count):
        link.send(request(f"flood-{number}", "get_camera_list" if number % 2 else "ping"))
    waiting = {f"flood-{number}" for number in range(count)}
    while waiting:
        for reply in entries(link.receive()):
            wire.check(reply, {})
            waiting.discard(str(reply["id"]))
    link.close()
    wire.sent += count


def oversize(wire: Wire) -> None:
    """Send too large and binary messages: the connection is closed with the code for that."""
    numbers = b"[" + b"0," * 700_000 + b"0]"
    for content, opcode, code in ((b"x" * (2 << 20), 1, 1009), (bytes(10), 2, 1003), (numbers, 1, 1009)):
        peer = wire.connect()
        with suppress(BrokenPipeError, ConnectionResetError):  # closed at the header
            peer.socket.sendall(Frame(content, opcode=opcode, mask=bytes(4)).encoded())
        with pytest.raises(PeerClosed) as caught:
            peer.receive()
        assert caught.value.code == code
        peer.close()
        wire.sent += 1


def fuzz(wire: Wire) -> None:
    """Run all cases against the agent."""
    messages = Messages(wire.document)
    waiting = Waiting(wire.url)

    @settings(SETTINGS, max_examples=FRAME_CASES)
    @given(frames=st.lists(FRAMES, max_size=4), cut_bytes=st.one_of(st.just(0), st.integers(0, 60)))
    def frames_are_answered(frames: list[Frame], cut_bytes: int) -> None:
        exchange_frames(wire, frames, cut_bytes)

    @settings(SETTINGS, max_examples=(CASES - FRAME_CASES - 2 * FLOOD_CASES) // TOGETHER)
    @given(st.lists(messages.message(), min_size=TOGETHER, max_size=TOGETHER))
    def messages_are_answered(texts: list[str]) -> None:
        waiting.drip()
        wire.exchange(texts)

    oversize(wire)
    flood(wire, FLOOD_CASES)
    frames_are_answered()
    messages_are_answered()
    flood(wire, FLOOD_CASES)
    waiting.close()
    wire.drop()
    wire.check_log()


@pytest.mark.timeout(600)
async def test_whatever_comes_is_answered_or_closed_cleanly(agent_process: "AgentProcessFactory") -> None:
    async with agent_process(CONFIG) as agent:
        async with agent.client("admin") as client:
            document = await client.call("rpc.discover")
        secret = Secret.load(agent.folder / "state" / "secret")
        token = TokenAuthority(secret, SystemClock()).create("fuzz", Role.ADMIN, 3600)
        wire = Wire(agent, await agent.url(), token, document)
        await anyio.to_thread.run_sync(fuzz, wire)
        measured = wire.memory_bytes[WARM_UP_CASES // TOGETHER :]
        third = len(measured) // 3
        first, last = (sum(each) / third for each in (measured[:third], measured[-third:]))
        assert wire.sent >= CASES
        assert set(wire.replies) >= {0, -32700, -32600, -32601, -32602, -32001, -32010}
        assert last / first < MEMORY_LIMIT
