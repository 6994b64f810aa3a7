"""Pictures from recorded files: real files, whole, odd and hostile."""

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_core.plugin import CaptureFailed, FfmpegFailed, RecordingStills, StillRequest, ffmpeg, jpeg
from agent_core.testing import RecordingStillsContract
from ffmpeg_tier.stills import FfmpegStills

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "5")
FORMATS = {
    ".mp4": ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"),
    ".ts": ("-f", "mpegts"),
}


async def made(path: Path, *arguments: str, size: str = "640x480") -> Path:
    source = ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=10:duration=2")
    await ffmpeg.run(ffmpeg.locate(), ["-y", *source, *(arguments or H264), *FORMATS[path.suffix], str(path)])
    return path


async def first(
    path: Path, *, program: str | None = None, width: int = 320, max_pixels: int = 1 << 26
) -> bytes:
    with path.open("rb") as file:
        request = StillRequest(file.fileno(), path.suffix, width, max_pixels)
        return await FfmpegStills(program=program).first(request)


class TestStills(RecordingStillsContract):
    def make_stills(self) -> RecordingStills:
        return FfmpegStills(program=None)

    async def recordings(self, folder: Path) -> list[Path]:
        return [await made(folder / f"a{suffix}") for suffix in FORMATS]


@pytest.mark.parametrize("suffix", FORMATS)
async def test_the_picture_is_scaled_down_and_never_up(tmp_path: Path, program: str, suffix: str) -> None:
    path = await made(tmp_path / f"a{suffix}")
    info = jpeg.inspect(await first(path, program=program, width=100))
    assert (info.width, info.height) == (100, 76)
    small = await made(tmp_path / f"small{suffix}", size="96x54")
    info = jpeg.inspect(await first(small, program=program))
    assert (info.width, info.height) == (96, 54)


@pytest.mark.parametrize("name", ["-i.mp4", "a:b.mp4", "http:x.mp4", "%d.mp4", "a b'\"\n.mp4"])
async def test_no_name_matters(tmp_path: Path, name: str) -> None:
    path = await made(tmp_path / "plain.mp4")
    odd = path.rename(tmp_path / name)
    assert jpeg.inspect(await first(odd)).width == 320


async def test_an_audio_track_alone_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac"]
    await ffmpeg.run(ffmpeg.locate(), ["-y", *tone, *FORMATS[".mp4"], str(path)])
    with pytest.raises(CaptureFailed) as caught:
        await first(path)
    assert caught.value.reason == "no_picture"


async def test_a_playlist_opens_nothing(tmp_path: Path) -> None:
    """A playlist named as a recording must not lead FFmpeg to the files and addresses in it."""
    inner = await made(tmp_path / "inner.ts")
    for suffix in FORMATS:
        path = tmp_path / f"list{suffix}"
        path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{inner}\n")
        with pytest.raises(CaptureFailed):
            await first(path)
        path.write_text(f"ffconcat version 1.0\nfile '{inner}'\n")
        with pytest.raises(CaptureFailed):
            await first(path)


async def test_the_argument_list_has_no_name_and_allows_no_protocol_but_the_pipe(
    tmp_path: Path, script: Callable[[str], str]
) -> None:
    path = await made(tmp_path / "secret-name.mp4")
    program = script(f'echo "$@" > {tmp_path}/arguments; exit 1')
    with pytest.raises(CaptureFailed):
        await first(path, program=program)
    words = (tmp_path / "arguments").read_text()
    assert "-protocol_whitelist pipe" in words
    assert "secret-name" not in words


async def test_a_picture_that_claims_gigabytes_takes_no_such_memory(
    tmp_path: Path, program: str, script: Callable[[str], str]
) -> None:
    path = await made(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    run, media = data.index(b"trun"), data.index(b"mdat")
    assert data[run + 5 : run + 8] == b"\x00\x02\x05"  # offset of the data, flags of the first, then sizes
    struct.pack_into(">I", data, run + 20, 1_500_000_000)
    struct.pack_into(">I", data, media - 4, 1_600_000_000)
    path.write_bytes(data[: media + 5000])
    os.truncate(path, 1_700_000_000)  # a sparse file
    measure = (
        "import pathlib, resource, subprocess, sys; status = subprocess.run(sys.argv[2:]).returncode; "
        "pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)); "
        "sys.exit(status)"
    )
    measured = script(f"exec {sys.executable} -c '{measure}' {tmp_path}/peak_kib {program} \"$@\"")
    with pytest.raises(CaptureFailed):
        await first(path, program=measured)
    assert int((tmp_path / "peak_kib").read_text()) < 400_000


async def test_endless_output_is_cut_off(tmp_path: Path, script: Callable[[str], str]) -> None:
    path = await made(tmp_path / "a.mp4")
    with pytest.raises(CaptureFailed):
        await first(path, program=script("exec cat /dev/zero"))


async def test_without_ffmpeg_the_host_is_at_fault(tmp_path: Path) -> None:
    path = await made(tmp_path / "a.mp4")
    with pytest.raises(FfmpegFailed) as caught:
        await first(path, program=os.fspath(tmp_path / "missing"))
    assert caught.value.reason == "ffmpeg_missing"
