"""Recordings of what cameras send: other programs open every file, and no picture is lost."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import run
from agent_core.plugin.rtsp import SessionDescription
from agent_core.testing import SimulatedClock
from embedded_server.faults import Faults
from embedded_server.media.stream import Stream
from embedded_server.recording.record_path import RecordPath
from embedded_server.recording.recorder import Recorder, RecordSettings
from embedded_server.recording.roots import RecordingRoots
from tests.odd.video import CLOCK_HZ, PICTURES, RATE, Habits, Packetizer, Video, encode

LENGTH_S = PICTURES / RATE
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_ENCODERS = {
    "slices": ("H264", (*_X264, "-bf", "0", "-x264-params", "slices=3")),
    "reordered": ("H264", (*_X264, "-bf", "2", "-b_strategy", "0")),
    "h265": ("H265", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=2:open-gop=0")),
}  # fmt: skip
PROBE = shutil.which("ffprobe")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PAGE = """<body><script>
const files = FILES, lines = {};
for (const file of files) {
  const video = document.createElement('video');
  video.muted = true; video.preload = 'auto';
  video.onloadeddata = () => say(file, `opened ${video.videoWidth} ${video.duration}`);
  video.onerror = () => say(file, `refused ${video.error.message}`);
  video.src = file; document.body.append(video);
}
function say(file, line) { lines[file] = line; document.title = JSON.stringify(lines); }
</script>"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Video]:
    made: dict[str, Video] = {}

    def make(name: str) -> Video:
        if name not in made:
            codec, encoder = _ENCODERS[name]
            made[name] = encode(tmp_path_factory.mktemp(name), codec, *encoder)
        return made[name]

    return make


async def record(
    folder: Path,
    video: Video,
    habits: Habits,
    *,
    file_format: str = "fmp4",
    time_at: Callable[[int, int], int] = lambda _number, time: time,
    lost: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Record the video, received at its pace, and return the files.

    Args:
        time_at: the time that the camera gives to a picture, by its number and its true time.
        lost: is asked for each packet.
    """
    clock = SimulatedClock()
    stream = Stream(SessionDescription.parse(video.description), clock)
    path = RecordPath(f"{folder}/%path/%s-%f", file_format, "cam")
    recorder = Recorder(
        "cam", stream, RecordSettings(path, RecordingRoots((folder,)), 0.5, 1 << 20, 3600), Faults()
    )
    camera = Packetizer(video.codec, habits)
    async with anyio.create_task_group() as tg:
        tg.start_soon(recorder.run)
        await anyio.wait_all_tasks_blocked()
        for number, (nalus, time) in enumerate(video.pictures):
            for packet in camera.packets(nalus, time_at(number, time)):
                if not lost():
                    stream.rtp(0, packet)
            await clock.advance(1 / RATE)
        recorder.stop()
    return sorted((folder / "cam").glob("*"))


def losing(chance: random.Random, share: float) -> Callable[[], bool]:
    return lambda: chance.random() < share


async def times_of(file: Path, *, intact: bool = True) -> list[tuple[float, float]]:
    """Return presentation time and size of each packet as ffprobe reads them; it may complain about lost pictures only."""
    assert PROBE is not None
    entries = ["-show_entries", "packet=pts_time,dts_time,size:stream=width", "-of", "json"]
    found = await run([PROBE, "-v", "error", *entries, str(file)])
    assert found.returncode == 0, found.stderr
    assert not (intact and found.stderr), found.stderr
    probed = json.loads(found.stdout)
    assert [stream["width"] for stream in probed["streams"]] == [128]
    packets = probed["packets"]
    decoded = [float(packet["dts_time"]) for packet in packets]
    assert decoded == sorted(set(decoded)), "decoding times do not increase"
    return [(float(packet["pts_time"]), int(packet["size"])) for packet in packets]


async def whole(file: Path) -> tuple[int, float]:
    """Return the number of pictures and the length in seconds of a file that FFmpeg decodes without a complaint."""
    packets = await times_of(file)
    assert all(size for _, size in packets), "a sample is empty"
    assert await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(file), "-f", "null", "-"]) == b""
    shown = sorted(time for time, _ in packets)
    return len(packets), shown[-1] - shown[0] + 1 / RATE


needs_probe = pytest.mark.skipif(PROBE is None, reason="no ffprobe on PATH")


@needs_probe
@pytest.mark.parametrize(
    ("name", "file_format"), [("slices", "fmp4"), ("reordered", "mpegts"), ("h265", "fmp4")]
)
@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(marker="sets"),
        Habits(marker="sets", sets_time="previous"),
        Habits(sets_time="between", delimiter=True),
        Habits(marker="each", delimiter=True, sets_time="previous"),
        Habits(marker="none", sets_time="previous"),
        Habits(packing="joined"),
        Habits(packing="joined", mtu=100, delimiter=True),
        Habits(packing="prefixed"),
        Habits(packing="typeless", mtu=100),
    ],
    ids=str,
)
async def test_no_picture_is_lost(
    tmp_path: Path, videos: Callable[[str], Video], name: str, habits: Habits, file_format: str
) -> None:
    (file,) = await record(tmp_path, videos(name), habits, file_format=file_format)
    count, length_s = await whole(file)
    unfinished = habits.marker == "none"  # without a marker nothing shows the end of the last picture
    assert count == PICTURES - unfinished
    assert length_s == pytest.approx(LENGTH_S, abs=0.15)


@needs_probe
@pytest.mark.parametrize("name", sorted(_ENCODERS))
@pytest.mark.parametrize("seed", range(6))
async def test_every_file_opens(tmp_path: Path, videos: Callable[[str], Video], name: str, seed: int) -> None:
    chance = random.Random(seed)
    steps = [0] * PICTURES
    for _ in range(chance.randrange(3)):
        at, step_s = chance.randrange(PICTURES), chance.choice((-3, -0.5, 20, 3600, -20_000))
        steps = [step + (number >= at) * round(step_s * CLOCK_HZ) for number, step in enumerate(steps)]
    loss = chance.choice((0, 0, 0.01, 0.1))
    habits = Habits.of(chance)
    files = await record(
        tmp_path,
        videos(name),
        habits,
        file_format=chance.choice(("fmp4", "mpegts")),
        time_at=lambda number, time: time + steps[number],
        lost=losing(chance, loss),
    )
    assert files or loss
    for file in files:
        packets = await times_of(file, intact=not loss)
        assert packets
        assert all(size for _, size in packets)
        shown = sorted(time for time, _ in packets)
        assert shown[-1] - shown[0] <= LENGTH_S + 0.5


@needs_probe
@pytest.mark.parametrize("name", ["slices", "reordered"])
@pytest.mark.parametrize("step_s", [-3, -0.5, 3, 3600, -20_000])
async def test_a_step_of_the_camera_clock_leaves_the_recording_as_long_as_it_was(
    tmp_path: Path, videos: Callable[[str], Video], name: str, step_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    def time_at(number: int, time: int) -> int:
        return time + (round(step_s * CLOCK_HZ) if number >= PICTURES // 2 else 0)

    (file,) = await record(tmp_path, videos(name), Habits(), time_at=time_at)
    count, length_s = await whole(file)
    assert count == PICTURES
    assert length_s == pytest.approx(LENGTH_S, abs=0.6 if name == "reordered" else 0.15)
    if abs(step_s) > 1:
        assert f"jumped by {step_s:+.1f} s" in caplog.text


@needs_probe
async def test_a_clock_that_stands_still_is_replaced_by_the_times_of_arrival(
    tmp_path: Path, videos: Callable[[str], Video], caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = await record(tmp_path, videos("slices"), Habits(), time_at=lambda _number, _time: 1000)
    count, length_s = await whole(file)
    assert count == PICTURES
    assert length_s == pytest.approx(LENGTH_S, abs=0.15)
    assert "do not advance" in caplog.text


@needs_probe
async def test_a_single_wrong_time_moves_no_other_picture(
    tmp_path: Path, videos: Callable[[str], Video]
) -> None:
    def time_at(number: int, time: int) -> int:
        return time - 5 * CLOCK_HZ if number == 20 else time

    (file,) = await record(tmp_path, videos("slices"), Habits(), time_at=time_at)
    shown = [time for time, _ in await times_of(file)]
    assert shown[21] - shown[19] == pytest.approx(2 / RATE, abs=0.001)
    assert shown[-1] - shown[0] == pytest.approx((PICTURES - 1) / RATE, abs=0.001)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH")
async def test_chromium_opens_every_file(tmp_path: Path, videos: Callable[[str], Video]) -> None:
    files: list[Path] = []
    for seed in range(12):
        chance = random.Random(seed)
        video = videos(chance.choice(("slices", "reordered")))
        loss = chance.choice((0, 0.02))
        files += await record(tmp_path / str(seed), video, Habits.of(chance), lost=losing(chance, loss))
    page = tmp_path / "page.html"
    page.write_text(_PAGE.replace("FILES", json.dumps([file.as_uri() for file in files])))
    assert BROWSER is not None
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    shown = await run([BROWSER, *options, "--timeout=60000", "--dump-dom", page.as_uri()])
    if shown.returncode:
        pytest.skip(f"Chromium does not run here: status {shown.returncode}")
    title = shown.stdout.decode().partition("<title>")[2].partition("</title>")[0]
    said = json.loads(title or "{}")
    assert len(said) == len(files) >= 12
    assert {line.split()[0] for line in said.values()} == {"opened"}, said
