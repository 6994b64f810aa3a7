"""The whole recording as one file, by its link alone, on each media server."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.base import processes

from .media import Rig, decoded, in_order, is_gapless, media_rig

Observe = Callable[[str], None]


async def recorded(rig: Rig, segments: int, **wanted: str) -> dict[str, Any]:
    """The info of a recording that has ended with at least so many segments."""
    started = await rig.call("start_recording", wait=True, **wanted)
    with anyio.fail_after(40):
        while len(rig.segments(started)) < segments:
            await anyio.sleep(0.05)
    await rig.call("stop_recording")
    info: dict[str, Any] = await rig.call("get_recording_info", None, filename=started["filename"])
    return info


async def probed(path: Path) -> tuple[float, list[int]]:
    """The duration that ffprobe tells, and the decode times of the video."""
    probe = shutil.which("ffprobe")
    if probe is None:
        pytest.skip("ffprobe is not installed")
    words = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=dts:format=duration"]
    done = await processes.run([probe, *words, "-of", "json", str(path)])
    assert not done.stderr
    told = json.loads(done.stdout)
    return float(told["format"]["duration"]), [int(each["dts"]) for each in told["packets"]]


FORMATS = [("fmp4", "video/mp4", ".mp4"), ("mpegts", "video/mp2t", ".ts")]


@pytest.mark.parametrize(("form", "media_type", "suffix"), FORMATS, ids=["fmp4", "mpegts"])
async def test_a_recording_of_several_segments_is_one_film(
    server_kind: str, tmp_path: Path, observe: Observe, form: str, media_type: str, suffix: str
) -> None:
    async with media_rig(server_kind, tmp_path, observe, recordings={"segment_duration_s": 2}) as rig:
        info = await recorded(rig, 3, format=form)
        listed = await rig.call("list_recordings")
        files = rig.segments(info)
        async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
            whole = await http.get(listed["files"][0]["download_url"])
            resumed = await in_ranges(http, info["download_url"], 5)
    assert (whole.status_code, whole.headers["content-type"]) == (200, media_type)
    assert f"{info['filename']}{suffix}" in whole.headers["content-disposition"]
    assert "link" not in whole.headers
    assert resumed == whole.content
    path = tmp_path / f"whole{suffix}"
    path.write_bytes(resumed)
    marks = await decoded(path)
    assert len(files) >= 3
    assert marks == [mark for each in files for mark in await decoded(each)]
    assert is_gapless(marks)
    duration_s, stamps = await probed(path)
    assert duration_s == pytest.approx(sum(each["duration"] for each in info["segments"]), abs=0.05)
    assert all(one < other for one, other in itertools.pairwise(stamps))
    steps = [other - one for one, other in itertools.pairwise(stamps)]
    assert max(steps) <= 90_000  # a second: no hole where two segments meet


async def in_ranges(http: httpx.AsyncClient, url: str, count: int) -> bytes:
    """The file as a client gets it that resumes its download, which is only possible while the tag is the same."""
    head = await http.head(url)
    size, tag = int(head.headers["content-length"]), head.headers["etag"]
    places = [size * number // count for number in range(count + 1)]
    data = b""
    for start, stop in itertools.pairwise(places):
        answer = await http.get(url, headers={"Range": f"bytes={start}-{stop - 1}", "If-Range": tag})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        data += answer.content
    return data


async def test_what_was_recorded_with_another_picture_size_is_told_and_has_links(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with media_rig(server_kind, tmp_path, observe, recordings={"segment_duration_s": 2}) as rig:
        info = await recorded(rig, 2)
        other = await recorded(rig, 1)
        small, *_ = rig.segments(other)
        *_, last = rig.segments(info)
        last.write_bytes(changed_size(small.read_bytes()))
        async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
            refused = await http.get(info["download_url"])
            parts = [await http.get(each["download_url"]) for each in info["segments"]]
    assert refused.status_code == 409
    assert refused.json()["reason"] == "segments_differ"
    assert [each.status_code for each in parts] == [200] * len(parts)


def changed_size(data: bytes) -> bytes:
    """The file with another width in its description of the samples."""
    at = data.index(b"avc1") + 28
    return data[:at] + (int.from_bytes(data[at : at + 2]) // 2).to_bytes(2) + data[at + 2 :]


async def test_a_recording_that_goes_on_is_one_film_up_to_now(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with media_rig(server_kind, tmp_path, observe, recordings={"segment_duration_s": 2}) as rig:
        started = await rig.call("start_recording", wait=True)
        with anyio.fail_after(40):
            while len(rig.segments(started)) < 2:
                await anyio.sleep(0.05)
        info = await rig.call("get_recording_info", None, filename=started["filename"])
        async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
            first = await http.get(info["download_url"])
            await rig.call("stop_recording")
            later = await http.get(info["download_url"], headers={"If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    (tmp_path / "first.mp4").write_bytes(first.content)
    (tmp_path / "later.mp4").write_bytes(later.content)
    seen, all_of_them = await decoded(tmp_path / "first.mp4"), await decoded(tmp_path / "later.mp4")
    assert in_order([all_of_them])
    assert all_of_them[: len(seen)] == seen
    assert len(seen) < len(all_of_them)
