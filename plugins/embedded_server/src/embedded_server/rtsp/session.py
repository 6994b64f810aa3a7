"""RTSP session of a publisher or a reader."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from agent_core.plugin.rtsp import Interleaved, SessionDescription
from embedded_server.media.stream import Stream
from embedded_server.paths.paths import Paths

if TYPE_CHECKING:
    from embedded_server.paths.path import Path

__all__ = ("Counters", "RtspSession", "State")


class State(Enum):
    INITIAL = 0
    PRE_PLAY = 1
    PLAY = 2
    PRE_RECORD = 3
    RECORD = 4


@dataclass(slots=True)
class Counters:
    """Counters of media packets; bytes are those of the packets, without the interleaved framing."""

    inbound_bytes: int = 0
    inbound_rtp: int = 0
    inbound_rtcp: int = 0
    outbound_bytes: int = 0
    outbound_rtp: int = 0
    outbound_rtcp: int = 0
    discarded: int = 0


class RtspSession:
    """Session, which ends with its connection or by TEARDOWN; a `Member` of the path and a `Sink` of the stream.

    Args:
        send: queues a frame, and returns False if there is no room.
        hang_up: ends the connection.
    """

    def __init__(
        self, created: datetime, address: str, send: Callable[[bytes], bool], hang_up: Callable[[], None]
    ) -> None:
        self.id = str(uuid.uuid4())
        self.token = uuid.uuid4().hex
        self.created = created
        self.address = address
        self.state = State.INITIAL
        self.path_name = ""
        self.query = ""
        self.user = ""
        self.user_agent = ""
        self.counters = Counters()
        self.description: SessionDescription | None = None
        self.stream: Stream | None = None
        self.channels: dict[int, int] = {}  # RTP channel by track; RTCP uses the next channel
        self._path: Path | None = None
        self._send = send
        self._hang_up = hang_up

    @property
    def used_channels(self) -> set[int]:
        return {channel for first in self.channels.values() for channel in (first, first + 1)}

    async def read(self, paths: Paths, name: str) -> Stream:
        """Become a reader of the path until `leave`.

        Raises:
            ConfigRefused: the name is invalid or matches no configuration.
            PathRefused: there is no stream, or it has too many readers.
        """
        path = paths.obtain(name)
        try:
            self.stream = await path.add_reader(self)
        finally:
            paths.release(path)
        self._path, self.path_name, self.state = path, name, State.PRE_PLAY
        return self.stream

    def play(self) -> None:
        if self.stream is not None:
            self.state = State.PLAY
            self.stream.join(self)

    def pause(self) -> None:
        if self.state is State.PLAY and self.stream is not None:
            self.stream.leave(self)
            self.state = State.PRE_PLAY
        elif self.state is State.RECORD and self._path is not None:
            self._path.remove_publisher(self)
            self.stream, self.state = None, State.PRE_RECORD

    def record(self, paths: Paths) -> None:
        """Become the publisher of the path.

        Raises:
            ConfigRefused: no configuration matches the name any more.
            PathRefused: the path does not accept publishers, or has one.
        """
        path = paths.obtain(self.path_name)
        assert self.description is not None  # noqa: S101 - ANNOUNCE sets it with the state that leads here
        self.stream = path.add_publisher(self, self.description)
        self._path, self.state = path, State.RECORD

    def leave(self, paths: Paths) -> None:
        """Leave the path and its stream; do nothing without a path."""
        path, self._path = self._path, None
        if self.stream is not None:
            self.stream.leave(self)
        if path is not None:
            path.remove_reader(self)
            path.remove_publisher(self)
            paths.release(path)
        self.stream, self.state = None, State.INITIAL

    def close(self) -> None:
        self._hang_up()

    def received(self, frame: Interleaved) -> None:
        """Count a frame from the client, and relay it if the client publishes."""
        track = next(
            (index for index, first in self.channels.items() if frame.channel in (first, first + 1)), None
        )
        if track is None:
            return
        self.counters.inbound_bytes += len(frame.payload)
        is_control = frame.channel != self.channels[track]
        if is_control:
            self.counters.inbound_rtcp += 1
        else:
            self.counters.inbound_rtp += 1
        if self.state is State.RECORD and self.stream is not None:
            (self.stream.rtcp if is_control else self.stream.rtp)(track, frame.payload)

    def rtp(self, track: int, packet: bytes, arrived: datetime) -> None:
        if track in self.channels and self._sent(self.channels[track], packet):
            self.counters.outbound_rtp += 1

    def rtcp(self, track: int, packet: bytes) -> None:
        if track in self.channels and self._sent(self.channels[track] + 1, packet):
            self.counters.outbound_rtcp += 1

    def _sent(self, channel: int, packet: bytes) -> bool:
        if not self._send(Interleaved(channel, packet).encode()):
            self.counters.discarded += 1
            return False
        self.counters.outbound_bytes += len(packet)
        if self.stream is not None:
            self.stream.outbound_bytes += len(packet)
        return True
