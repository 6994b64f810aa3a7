"""Joined transport streams, as a player sees them."""

import itertools
import json
import random
import shutil
from pathlib import Path

import pytest

from agent_core.base import processes
from agent_core.media import mpegts
from agent_core.media.joined_files import Layouts, ServedJoin
from agent_core.plugin import ffmpeg

from .files import H264, plays, source

NAMES = ("1.ts", "2.ts", "3.ts")
SOUND = ("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", "-shortest")


async def segments(folder: Path, *more: str) -> None:
    for name in NAMES:
        words = ["-y", *source(10, 2), *SOUND, *H264, "-g", "5", *more, "-f", "mpegts", str(folder / name)]
        await ffmpeg.run(ffmpeg.locate(), words)


def whole(folder: Path, *names: str) -> bytes:
    """The joined file; each of its ranges has the bytes of the whole."""
    opened = ServedJoin(folder, names, "whole.ts", Layouts()).open()
    assert opened is not None
    rng, data = random.Random(1), b""
    with opened:
        while chunk := opened.read(len(data), min(rng.randrange(1, 9000), opened.size_bytes - len(data))):
            data += chunk
        assert len(data) == opened.size_bytes
        for _ in range(50):
            at = rng.randrange(len(data))
            some = opened.read(at, rng.randrange(1, 3000))
            assert some == data[at : at + len(some)]
            assert some
    return data


async def probed(path: Path) -> tuple[str, list[int]]:
    """What ffprobe complains of, and the decode times of the video."""
    probe = shutil.which("ffprobe")
    if probe is None:
        pytest.skip("ffprobe is not installed")
    words = ["-v", "verbose", "-select_streams", "v", "-show_entries", "packet=dts"]
    done = await processes.run([probe, *words, "-of", "json", str(path)])
    complaints = [line for line in done.stderr.splitlines() if "ontinuity" in line or "orrupt" in line]
    return "\n".join(complaints), [int(each["dts"]) for each in json.loads(done.stdout)["packets"]]


@pytest.mark.parametrize("offset_s", [0, 10, (1 << 33) / 90_000 - 3])
async def test_a_player_sees_one_film(tmp_path: Path, offset_s: float) -> None:
    """Also where the clock of 33 bits wraps within it."""
    await segments(tmp_path, "-output_ts_offset", str(offset_s))
    path = tmp_path / "whole.ts"
    path.write_bytes(whole(tmp_path, *NAMES))
    assert await plays(path)
    assert mpegts.segment_duration_s(path) == pytest.approx(6, abs=0.01)
    complaints, stamps = await probed(path)
    assert complaints == ""
    assert len(stamps) == 60
    steps = {(other - one) % (1 << 33) for one, other in itertools.pairwise(stamps)}
    assert max(steps) - min(steps) <= 2
    assert min(steps) == pytest.approx(9000, abs=2)


async def test_one_file_is_itself_and_a_torn_packet_is_left_out(tmp_path: Path) -> None:
    await segments(tmp_path)
    data = (tmp_path / "1.ts").read_bytes()
    assert whole(tmp_path, "1.ts") == data
    (tmp_path / "1.ts").write_bytes(data[:-100])
    (tmp_path / "2.ts").write_bytes(bytes(1000))
    assert whole(tmp_path, "1.ts", "2.ts") == data[:-188]
