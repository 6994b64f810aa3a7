"""Reader of `cam` in front of a real named pipe, with lines as `cam` prints them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream

from agent_core.plugin import CaptureFailed
from agent_core.testing import SimulatedClock
from libcamera_source.cam_reader import CamOutput
from libcamera_source.driver_times import DriverTimes
from libcamera_source.tools import environment

pytestmark = pytest.mark.anyio
SAID = b"x INFO Camera camera.cpp:1 configuring streams: (0) 64x48-MJPEG\n"
LIMIT_S = 60


class Lines(ByteReceiveStream):
    """Standard output of `cam`, to which the test writes."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[bytes](1000)

    def write(self, stamp_s: int, size_bytes: int) -> None:
        self._send.send_nowait(
            b"%d.000000 (9.00 fps) cam0-stream0 seq: 000001 bytesused: %d\n" % (stamp_s, size_bytes)
        )

    def end(self) -> None:
        self._send.close()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()


@dataclass
class SlowTaker:
    """Taker that holds each picture until `goes_on`."""

    goes_on: anyio.Event = field(default_factory=anyio.Event)
    taken: list[tuple[bytes, float | None, float | None]] = field(default_factory=list)
    skipped: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def take(
        self, picture: bytes, stamp_s: float | None = None, arrived_s: float | None = None
    ) -> None:
        self.taken.append((picture, stamp_s, arrived_s))
        self._change()
        await self.goes_on.wait()

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)

    def skip(self, reason: str) -> None:
        assert reason == "superseded"
        self.skipped += 1
        self._change()

    def _change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


@dataclass
class Rig:
    """Reader that runs, and what it reads from."""

    reader: CamOutput
    pipe: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    lines: Lines = field(default_factory=Lines)
    taker: SlowTaker = field(default_factory=SlowTaker)
    problem: CaptureFailed | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)

    def frame(self, number: int) -> bytes:
        """Write a frame, whose size is its own, and the line about it."""
        data = bytes([number]) * (number + 1)
        with self.pipe.open("ab") as file:
            file.write(data)
        self.lines.write(number, len(data))
        return data

    async def run(self) -> None:
        self.problem = await self.reader.read(self.lines, self.taker)
        self.ended.set()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Rig]:
    pipe, clock = folder / "pipe", SimulatedClock()
    rig = Rig(CamOutput(pipe, 85, clock), pipe, clock)
    rig.reader.open()
    try:
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(rig.run)
                yield rig
                tg.cancel_scope.cancel()
    finally:
        rig.reader.close()
        await rig.lines.aclose()


async def test_only_the_newest_frame_waits_for_a_slow_encoder_and_no_line_loses_its_frame(
    folder: Path,
) -> None:
    async with running(folder) as rig:
        rig.reader.hear(SAID)
        first = rig.frame(1)
        while not rig.taker.taken:
            await rig.taker.changed.wait()
        *_, newest = [rig.frame(number) for number in range(2, 100)]
        while rig.taker.skipped < 97:
            await rig.taker.changed.wait()
        arrived_s = rig.clock.monotonic_s()
        await rig.clock.advance(30)
        rig.taker.goes_on.set()
        later = rig.frame(7)
        while len(rig.taker.taken) < 3:
            await rig.taker.changed.wait()
        rig.lines.end()
        await rig.ended.wait()
    assert rig.taker.taken == [(first, 1, arrived_s), (newest, 99, arrived_s), (later, 7, arrived_s + 30)]
    assert rig.problem is None


async def test_the_format_is_kept_however_much_is_logged(folder: Path) -> None:
    async with running(folder) as rig:
        rig.reader.hear(SAID[:30])
        rig.reader.hear(SAID[30:])
        for _ in range(100):
            rig.reader.hear(b"x WARN RPI something\n" * 100)
        data = rig.frame(5)
        while not rig.taker.taken:
            await rig.taker.changed.wait()
    assert rig.taker.taken[0][0] == data


async def test_frames_of_an_untold_format_are_no_pictures(folder: Path) -> None:
    async with running(folder) as rig:
        rig.frame(5)
        while not rig.ended.is_set():
            await rig.clock.advance(1)
            await anyio.wait_all_tasks_blocked()
    assert rig.taker.taken == []
    assert rig.problem is not None
    assert (rig.problem.reason, rig.problem.details) == (
        "no_usable_format",
        "cam does not tell the format of the camera's frames.",
    )


def test_an_old_frame_keeps_its_time_once_the_clock_is_known() -> None:
    times = DriverTimes(5.0)
    assert times.captured_s(100.0, 106.0) is None  # perhaps another clock
    assert times.captured_s(107.0, 108.0) == 107.0
    assert times.captured_s(109.0, 160.0) == 109.0
    assert times.captured_s(0.0, 160.0) is None
    assert times.captured_s(161.0, 160.0) is None
    assert times.captured_s(None, 160.0) is None


def test_the_programs_log_what_is_read_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBCAMERA_LOG_LEVELS", "ERROR")
    monkeypatch.setenv("LIBCAMERA_LOG_FILE", "syslog")
    found = environment(folder)
    assert found["LIBCAMERA_LOG_LEVELS"] == "*:INFO"
    assert "LIBCAMERA_LOG_FILE" not in found
    assert found["PATH"] == os.environ["PATH"]
