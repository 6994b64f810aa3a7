"""A hardware encoder in a whole agent that does not work until its driver comes; streams are in software meanwhile."""

from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import anyio
import httpx
import pytest

from .media import Rig, media_rig, read_stream
from .scraped import scrape

Observe = Callable[[str], None]
#: Encoder in software that stands for hardware that works.
STANDS_IN = "libx264rgb"


def settings(**values: object) -> dict[str, Any]:
    return {"ffmpeg_tier": {"encoder": STANDS_IN, **values}}


def ffmpeg_of(folder: Path, body: str) -> str:
    """Return an FFmpeg that runs `body` before it encodes with the encoder that stands for hardware."""
    real = which("ffmpeg")
    if real is None:
        pytest.skip("needs FFmpeg on PATH")
    program = folder / "ffmpeg"
    program.write_text(f'#!/bin/sh\ncase "$*" in *{STANDS_IN}*) {body};; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    return str(program)


async def reasons(rig: Rig) -> list[str]:
    told = await rig.client.call("get_system_status")
    return [each["reason"] for each in told["problems"]]


async def until_told(rig: Rig, wanted: list[str]) -> None:
    with anyio.fail_after(40):
        while await reasons(rig) != wanted:
            await anyio.sleep(0.1)


async def is_up(rig: Rig) -> float | None:
    async with httpx.AsyncClient() as http:
        return (await scrape(http, rig.agent)).get("component_up", component="hardware_encoder")


async def encoder_of_stream(rig: Rig) -> str:
    started = await rig.call("start_streaming")
    await read_stream(started["stream_url"], frames=3)
    await rig.call("stop_streaming")
    words = started["ffmpeg_command"].split()
    return str(words[words.index("-c:v") + 1])


@pytest.mark.parametrize("kind", ["embedded", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
async def test_streams_are_in_software_until_the_encoder_works_and_the_reason_is_told(
    kind: str, tmp_path: Path, observe: Observe
) -> None:
    driver = tmp_path / "driver"
    program = ffmpeg_of(tmp_path, f'test -e {driver} || {{ echo "No driver" >&2; exit 1; }}')
    plugins = settings(program=program)
    async with media_rig(kind, tmp_path, observe, plugins=plugins) as rig:
        await until_told(rig, ["encoder_failed"])
        (problem,) = (await rig.client.call("get_system_status"))["problems"]
        assert "No driver" in problem["details"]
        assert "libx264" in problem["details"]
        assert problem["suggestion"]
        assert await is_up(rig) == 0
        assert await encoder_of_stream(rig) == "libx264"
        driver.touch()
        await until_told(rig, [])
        assert await is_up(rig) == 1
