"""Brokers and frame sockets of coded video: groups of pictures, their bounds, and what real readers make of them."""

import gc
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import av
import pytest
from anyio.abc import SocketStream

from agent_core.plugin import CapturedAtSource, Frame, VideoCodec, ffmpeg
from agent_core.plugin.frames import BrokerSettings, CodedFrame, FrameBroker, FrameServer
from agent_core.plugin.frames.groups import Groups
from agent_core.plugin.frames.store import Stamp
from agent_core.plugin.video import AnnexBReader, annex_b, nal, without_lengths
from agent_core.testing import SimulatedClock
from agent_core.testing.coded_video import coded_pictures
from agent_core.testing.matroska import SentFrame, frames_of, header_of
from agent_core.testing.scripted_producer import ScriptedProducer

H264, H265 = VideoCodec.H264, VideoCodec.H265
CODECS = pytest.mark.parametrize("codec", [H264, H265])
GROUP = 5
#: Time (s) from one picture to the next.
STEP_S = 0.1
LIMIT_BYTES = 100_000


@pytest.fixture(scope="module")
def videos() -> dict[VideoCodec, tuple[bytes, ...]]:
    return {codec: coded_pictures(codec, 40, group=GROUP) for codec in (H264, H265)}


def sets_of(data: bytes) -> bytes:
    return annex_b(unit for unit in units_of(data) if nal.nalu_type(H264, unit) in (7, 8))


def without_sets(data: bytes) -> bytes:
    return annex_b(unit for unit in units_of(data) if nal.nalu_type(H264, unit) not in (7, 8))


def units_of(data: bytes) -> tuple[bytes, ...]:
    reader = AnnexBReader()
    return (*reader.feed(data), reader.flush())


def _long_pps(number: int) -> bytes:
    """A set of pictures with the number 1, and much after it."""
    return bytes((0x68, 0b0101_1110, 0x3C, 0x80, number + 1)) + b"\x55" * 3000


def _all_of(groups: Groups) -> list[CodedFrame]:
    """All pictures that a reader can still get."""
    found = [groups.following(number) for number in range(groups.sequence)]
    return list({each.sequence: each for each in found if each}.values())


class Asked(ScriptedProducer):
    """Producer that counts how often it is asked for a key frame."""

    asked = 0

    def key_frame_wanted(self) -> None:
        self.asked += 1


class Bench:
    """Broker and server of coded video, with a clock that the test advances."""

    def __init__(self, path: Path, codec: VideoCodec, settings: BrokerSettings) -> None:
        self.path = path
        self.clock = SimulatedClock()
        self.producer = Asked()
        self.broker = FrameBroker(self.producer, clock=self.clock, settings=settings, codec=codec)
        self.server = FrameServer(self.broker, path, clock=self.clock, fps=1 / STEP_S)

    async def offer(self, *pictures: bytes) -> None:
        for data in pictures:
            await self.clock.advance(STEP_S)
            if self.producer.streaming:
                self.producer.sink.offer(data, captured_s=self.clock.monotonic_s())
            await anyio.wait_all_tasks_blocked()

    @property
    def reason(self) -> str:
        """Reason of the broker's problem."""
        return self.broker.problem.reason if self.broker.problem else ""

    def dropped(self, reason: str) -> int:
        return dict(self.broker.stats.dropped).get(reason, 0)


@asynccontextmanager
async def serving(
    folder: Path, codec: VideoCodec = H264, settings: BrokerSettings | None = None
) -> AsyncIterator[Bench]:
    """A bench whose producer streams, because of the demand of this context."""
    bench = Bench(folder / "s", codec, settings or BrokerSettings())
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            await tg.start(bench.server.run)
            with bench.broker.demand():
                await bench.producer.until_streaming()
                yield bench
            tg.cancel_scope.cancel()


class Reader:
    """Client of the socket that keeps all that it receives."""

    def __init__(self, client: SocketStream) -> None:
        self._client = client
        self.data = bytearray()

    @property
    def frames(self) -> list[SentFrame]:
        return frames_of(bytes(self.data)) if self.data else []

    async def until(self, count: int) -> list[SentFrame]:
        while len(self.frames) < count:
            self.data += await self._client.receive()
        return self.frames

    async def until_end(self) -> None:
        try:
            while True:
                self.data += await self._client.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


@asynccontextmanager
async def reading(bench: Bench) -> AsyncIterator[Reader]:
    async with await anyio.connect_unix(bench.path) as client:
        reader = Reader(client)
        reader.data += await client.receive()  # the header: it is served
        await anyio.wait_all_tasks_blocked()
        yield reader


def sent(frames: list[SentFrame] | tuple[Frame, ...]) -> list[bytes]:
    """The pictures as their camera sent them."""
    return [annex_b(without_lengths(each.data)) for each in frames]


def plain(pictures: tuple[bytes, ...]) -> list[bytes]:
    """The pictures with start codes of one length."""
    return [annex_b(units_of(data)) for data in pictures]


@CODECS
async def test_a_client_gets_the_newest_group_at_once_and_each_picture_then(
    codec: VideoCodec, tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[codec]
    async with serving(tmp_path, codec) as bench:
        await bench.offer(*pictures[:13])
        newest_us = round(bench.clock.monotonic_s() * 1e6)
        async with reading(bench) as reader:
            backlog = await reader.until(3)
            assert sent(backlog) == plain(pictures[10:13])
            assert [each.is_key for each in backlog] == [True, False, False]
            assert [each.time - newest_us for each in backlog] == [-24, -12, 0]
            taken = [json.loads(each.note)["captured_us"] for each in backlog]
            assert [newest_us - each for each in taken] == pytest.approx([200_000, 100_000, 0], abs=2)
            await bench.offer(*pictures[13:16])
            later = (await reader.until(6))[3:]
            assert sent(later) == plain(pictures[13:16])
            assert [each.time - newest_us for each in later] == pytest.approx([1e5, 2e5, 3e5], abs=2)
        header = header_of(bytes(reader.data))
    assert header.codec == {H264: "V_MPEG4/ISO/AVC", H265: "V_MPEGH/ISO/HEVC"}[codec]
    assert (header.width, header.height) == (128, 96)


@CODECS
async def test_libav_decodes_all_that_a_socket_sends(
    codec: VideoCodec, tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path, codec) as bench:
        await bench.offer(*videos[codec][:8])
        async with reading(bench) as reader:
            await bench.offer(*videos[codec][8:30])
            await reader.until(25)
    with av.open(io.BytesIO(bytes(reader.data)), "r", format="matroska") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [packet.is_keyframe for packet in packets] == [number % GROUP == 0 for number in range(25)]
        times = [packet.pts or 0 for packet in packets]
        assert all(later > earlier for earlier, later in pairwise(times))
    with av.open(io.BytesIO(bytes(reader.data)), "r", format="matroska") as container:
        assert len([*container.decode(video=0)]) == 25


@CODECS
async def test_ffmpeg_copies_a_socket_to_a_file_that_plays(
    codec: VideoCodec, tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    file, done = tmp_path / "copy.mp4", anyio.Event()
    words = (
        "-f",
        "matroska",
        "-i",
        f"unix:{tmp_path / 's'}",
        "-c",
        "copy",
        "-frames:v",
        "20",
        "-y",
        str(file),
    )

    async def copy() -> None:
        await ffmpeg.run(ffmpeg.locate(), words)
        done.set()

    async with serving(tmp_path, codec) as bench, anyio.create_task_group() as tg:
        await bench.offer(*videos[codec][:7])
        tg.start_soon(copy)
        for data in (videos[codec] * 20)[10:]:
            if done.is_set():
                break
            await bench.offer(data)
            await anyio.sleep(0.02)
        await done.wait()
    with av.open(str(file)) as container:
        assert len([*container.decode(video=0)]) == 20


async def test_pictures_before_the_first_key_frame_are_dropped_and_counted(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264][2:8])
        (first, *_) = await bench.broker.beginning(0)
        assert bench.dropped("before_key") == 3
        assert isinstance(first, CodedFrame)
        assert first.is_key
        assert bench.broker.problem is None


async def test_a_camera_without_key_frames_fails_in_its_own_words_and_is_tried_again(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path, settings=BrokerSettings(key_frame_s=3)) as bench:
        while bench.producer.streaming:
            await bench.offer(videos[H264][1])
        assert bench.reason == "no_key_frame"
        assert bench.broker.device.is_refusing
        await bench.clock.advance(1)
        await bench.producer.until_streaming()
        await bench.offer(*videos[H264][:3])
        assert bench.reason == ""


async def test_a_camera_with_one_key_frame_is_started_again_for_a_client_that_comes_late(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    settings = BrokerSettings(key_frame_s=3, groups_bytes=20_000)
    async with serving(tmp_path, settings=settings) as bench:
        await bench.offer(videos[H264][0])
        while not bench.dropped("group_too_long"):
            await bench.offer(videos[H264][1])
        for _ in range(50):
            await bench.offer(videos[H264][1])
        assert bench.reason == ""  # nothing waits for a key frame
        async with reading(bench):
            assert bench.producer.asked == 1
            while bench.producer.streaming:
                await bench.offer(videos[H264][1])
        assert bench.reason == "no_key_frame"


async def test_clients_that_leave_early_and_come_again_are_served_at_last(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    """As FFmpeg does, which leaves a silent socket after four seconds."""
    settings = BrokerSettings(key_frame_s=3, groups_bytes=20_000)
    async with serving(tmp_path, settings=settings) as bench:
        await bench.offer(videos[H264][0])
        while not bench.dropped("group_too_long"):
            await bench.offer(videos[H264][1])
        for _ in range(5):
            if bench.producer.streaming:
                async with reading(bench):
                    await bench.offer(*videos[H264][1:2] * 10)
                await bench.offer(*videos[H264][1:2] * 3)
        assert bench.reason == "no_key_frame"


async def test_a_key_frame_ends_the_count_of_a_client_that_has_left(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    settings = BrokerSettings(key_frame_s=3, groups_bytes=20_000)
    async with serving(tmp_path, settings=settings) as bench:
        await bench.offer(videos[H264][0])
        while not bench.dropped("group_too_long"):
            await bench.offer(videos[H264][1])
        async with reading(bench):
            await bench.offer(*videos[H264][1:2] * 10)
        await bench.offer(*videos[H264][5:10], *videos[H264][1:2] * 60)
        assert bench.reason == ""


async def test_a_key_frame_is_asked_for_where_only_the_store_finds_damage(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[H264]
    async with serving(tmp_path) as bench:
        await bench.offer(*pictures[:3])
        assert bench.producer.asked == 0
        await bench.offer(pictures[3][40:])  # its beginning is lost
        assert bench.dropped("damaged") == 1
        assert bench.producer.asked == 1


async def test_a_silent_camera_is_a_stall_while_a_key_frame_is_awaited(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path, settings=BrokerSettings(key_frame_s=30)) as bench:
        await bench.offer(videos[H264][1], videos[H264][2])
        while bench.producer.streaming:
            await bench.clock.advance(1)
            await anyio.wait_all_tasks_blocked()
        assert bench.reason == "camera_stalled"


async def test_a_group_that_is_too_long_goes_on_for_its_readers_and_others_wait(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[H264]
    long = (pictures[0], *pictures[1:5] * 6)
    limit = sum(map(len, long)) // 2
    async with serving(tmp_path, settings=BrokerSettings(groups_bytes=limit)) as bench:
        await bench.offer(pictures[0])
        async with reading(bench) as early:
            for count, data in enumerate(long[1:], 2):
                await bench.offer(data)
                await early.until(count)
            assert sent(early.frames) == plain(long)
            assert bench.dropped("group_too_long") == 1
            async with reading(bench) as late:
                await bench.offer(*pictures[5:8])
                assert sent(await late.until(3)) == plain(pictures[5:8])
            assert sent(await early.until(len(long) + 3))[-3:] == plain(pictures[5:8])


async def test_what_is_kept_is_bounded_however_long_a_stream_lasts(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264])
        kept = await bench.broker.beginning(0)
        assert len(kept) == GROUP
        oldest = await bench.broker.after(0)  # a reader that has slept goes on at a key frame
        assert isinstance(oldest, CodedFrame)
        assert oldest.is_key
        assert oldest.captured_s == kept[0].captured_s


async def test_the_pictures_with_which_a_client_begins_are_not_kept_for_it(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264][:GROUP])
        async with reading(bench) as reader:
            await reader.until(GROUP)
            for number in range(GROUP, 30):
                await bench.offer(videos[H264][number])
                await reader.until(number + 1)
            gc.collect()
            kept = [each for each in gc.get_objects() if isinstance(each, CodedFrame)]
            assert kept
            assert min(each.sequence for each in kept) > GROUP


async def test_the_number_of_pictures_is_bounded_however_small_they_are(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    tiny = annex_b((b"\x41\x9a\x80",))
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264][:2])
        for _ in range(30):
            await bench.offer(tiny * 1000)
        assert bench.broker.stats.frames > 29_000
        assert bench.dropped("group_too_long") == 1


def test_parameter_sets_count_where_each_key_frame_has_others(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    key = units_of(videos[H264][0])
    pictures = [annex_b((*key[:-1], _long_pps(number), key[-1])) for number in range(60)]
    few, shared = Groups(H264, limit_bytes=LIMIT_BYTES), Groups(H264, limit_bytes=LIMIT_BYTES)
    for number, data in enumerate(pictures):
        few.add(data, Stamp(number / 1000, CapturedAtSource.DEVICE))
        shared.add(pictures[0], Stamp(number / 1000, CapturedAtSource.DEVICE))
    records = {id(each.configuration): len(each.configuration.record) for each in _all_of(few)}
    assert 0 < sum(records.values()) <= LIMIT_BYTES / 2
    assert len({id(each.configuration) for each in _all_of(shared)}) == 1
    assert len(_all_of(shared)) > len(_all_of(few))


def test_the_size_is_that_of_the_sets_to_which_a_key_frame_refers(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    """As with cameras that send the sets of a second stream, too."""
    groups = Groups(H264, limit_bytes=LIMIT_BYTES)
    other = coded_pictures(H264, 2, size=(160, 120), parameters="sps-id=1")
    sizes = []
    for number, data in enumerate((*videos[H264][:2], *other, *videos[H264][:2])):
        groups.add(data, Stamp(number, CapturedAtSource.DEVICE))
        sizes += [(groups.newest.width, groups.newest.height)] if groups.newest else []
    assert sizes == [(128, 96), (160, 120), (160, 120), (128, 96), (128, 96)]


async def test_a_client_that_does_not_read_continues_at_a_key_frame(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    large = coded_pictures(H264, 40, size=(640, 480), group=GROUP)
    async with serving(tmp_path) as bench:
        await bench.offer(large[0])
        async with reading(bench) as slow:
            await bench.offer(*large[1:], *large[5:])  # far more than the socket holds
            frames = await slow.until(GROUP)
            while sent(frames)[-1] != plain(large)[-1]:
                frames = await slow.until(len(frames) + 1)
    numbers = [plain(large).index(data) for data in sent(frames)]
    assert len(numbers) < 60
    for (before, after), frame in zip(pairwise(numbers), frames[1:], strict=True):
        assert after == before + 1 or frame.is_key


async def test_a_gap_is_not_shown(tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]) -> None:
    pictures = videos[H264]
    async with serving(tmp_path) as bench:
        await bench.offer(*pictures[:2])
        async with reading(bench) as reader:
            bench.producer.sink.gap()
            await bench.offer(*pictures[3:8])
            assert sent(await reader.until(5)) == plain((*pictures[:2], *pictures[5:8]))
        assert bench.dropped("before_key") == 2


async def test_parameter_sets_that_come_once_are_remembered_even_by_a_new_start(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    """As with encoders that send a header of its own when the device is opened."""
    bare = tuple(map(without_sets, videos[H264]))
    async with serving(tmp_path) as bench:
        await bench.offer(sets_of(videos[H264][0]))
        bench.producer.sink.gap()  # the first picture was lost
        await bench.offer(*bare[3:6], *bare[6:12])
        async with reading(bench) as reader:
            await reader.until(2)
        record = header_of(bytes(reader.data)).codec_private
        assert all(unit in record for unit in units_of(sets_of(videos[H264][0])))
        bench.producer.end()
        await bench.producer.until_idle()
        await bench.clock.advance(1)
        await bench.producer.until_streaming()
        await bench.offer(*bare[:2])
        assert len(await bench.broker.beginning(0)) == 2


async def test_other_parameter_sets_end_the_clients_and_new_ones_get_them(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    other = coded_pictures(H264, 6, size=(160, 120), group=GROUP)
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264][:6])
        async with reading(bench) as reader:
            await bench.offer(*other[:2])
            await reader.until_end()
            assert sent(reader.frames) == plain(videos[H264][5:6])
        async with reading(bench) as again:
            assert sent(await again.until(2)) == plain(other[:2])
        assert header_of(bytes(again.data)).width == 160


async def test_a_client_that_comes_late_in_a_long_group_has_a_key_frame_asked_for(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[H264]
    async with serving(tmp_path) as bench:
        await bench.offer(*pictures[:3])
        async with reading(bench):
            assert bench.producer.asked == 0
        await bench.offer(*pictures[3:5] * 10)
        async with reading(bench) as reader:
            assert bench.producer.asked == 1
            await reader.until(3)  # the long group meanwhile


async def test_a_group_of_an_earlier_start_is_not_shown(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    async with serving(tmp_path) as bench:
        await bench.offer(*videos[H264][:8])
        bench.producer.end()
        while bench.broker.problem is None:
            await bench.broker.changed()
        assert bench.broker.latest() is None
        await bench.clock.advance(1)
        await bench.producer.until_streaming()
        async with reading(bench) as reader:
            await bench.offer(*videos[H264][10:12])
            assert sent(await reader.until(2)) == plain(videos[H264][10:12])


async def test_a_new_start_may_cut_pictures_otherwise(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    """Pictures that came in parts do not wait for the next one after a start that gives them whole."""
    pictures = videos[H264]
    async with serving(tmp_path) as bench:
        halves = [part for data in pictures[:6] for part in (data[:40], data[40:])]
        await bench.offer(*halves)
        bench.producer.end()
        await bench.producer.until_idle()
        await bench.clock.advance(1)
        await bench.producer.until_streaming()
        await bench.offer(*pictures[10:13])
        assert sent(await bench.broker.beginning(0)) == plain(pictures[10:13])


async def test_of_several_pictures_in_a_buffer_only_the_last_has_its_time(
    tmp_path: Path, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[H264]
    async with serving(tmp_path) as bench:
        await bench.offer(*pictures[:3], b"".join(pictures[3:5]))
        frames = await bench.broker.beginning(0)
        now_s = bench.clock.monotonic_s()
        ages = [round((now_s - each.captured_s) / STEP_S) for each in frames]
        assert ages == [3, 2, 1, 1, 0]
