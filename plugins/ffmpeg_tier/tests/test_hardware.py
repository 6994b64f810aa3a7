"""Trial of an encoder with each installed FFmpeg, and its replacement by software."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest

from agent_core.plugin import FfmpegFailed, FfmpegInput, FindingStatus, Publisher
from agent_core.testing import FakeAgent
from ffmpeg_tier import FfmpegTierPlugin, FfmpegTierSettings
from ffmpeg_tier.encoders import HARDWARE, SOFTWARE, Encoder, encoder_named
from ffmpeg_tier.hardware import EncoderCheck, HardwareEncoder
from ffmpeg_tier.publisher import publisher
from ffmpeg_tier.trial import try_encoder

README = Path(__file__).parents[1] / "README.md"
#: Encoder in software that stands for hardware that works; each FFmpeg with libx264 has it.
STANDS_IN = "libx264rgb"
INPUT = FfmpegInput(("-f", "lavfi", "-i", "color=size=320x240:rate=15"))
DEVICES = {
    "h264_v4l2m2m": "/dev/video11",
    "h264_vaapi": "/dev/dri/renderD128",
    "h264_nvenc": "/dev/nvidiactl",
}


def settings(**values: object) -> FfmpegTierSettings:
    return FfmpegTierSettings.model_validate(values)


def listed(program: str, *, name: str) -> str:
    """Return what FFmpeg tells about an encoder; empty if it has none of this name."""
    told = subprocess.run(
        [program, "-hide_banner", "-h", f"encoder={name}"], capture_output=True, check=True, text=True
    )
    return told.stdout if told.stdout.startswith(f"Encoder {name}") else ""


def encoder_of(command: Publisher | None) -> str:
    assert command is not None
    return command.argv[command.argv.index("-c:v") + 1]


# The table.


@pytest.mark.parametrize("encoder", HARDWARE, ids=lambda each: each.name)
def test_each_kind_is_documented_as_such(encoder: Encoder) -> None:
    row = next(line for line in README.read_text().splitlines() if line.startswith(f"| `{encoder.name}` |"))
    for each in (encoder.hardware, encoder.source, "documentation only"):
        assert each
        assert each in row
    for each in filter(None, (" ".join(encoder.options), encoder.device_option, encoder.filters)):
        assert f"`{each}`" in row


@pytest.mark.parametrize("encoder", [*HARDWARE, Encoder("other")], ids=lambda each: each.name)
def test_the_next_step_may_be_shown_to_clients(encoder: Encoder) -> None:
    assert encoder.hint
    assert "/dev/" not in encoder.hint


@pytest.mark.parametrize("encoder", HARDWARE, ids=lambda each: each.name)
def test_ffmpeg_knows_the_options_of_the_encoders_that_it_has(encoder: Encoder, program: str) -> None:
    text = listed(program, name=encoder.name)
    if not text:
        pytest.skip(f"this FFmpeg has no {encoder.name}")
    general = {"-bf", "-g"}
    for option in set(encoder.options[::2]) - general:
        assert re.search(rf"^  {option} ", text, re.MULTILINE), option
    formats = re.search(r"Supported pixel formats: (.*)", text)
    if formats:
        assert (encoder.pixel_format or "vaapi") in formats[1].split()


@pytest.mark.parametrize("encoder", HARDWARE, ids=lambda each: each.name)
def test_the_device_is_opened_before_the_input_and_not_shown(encoder: Encoder) -> None:
    command = publisher(INPUT, settings(encoder=encoder.name, encoder_device="/dev/dri/renderD129"), "ffmpeg")
    assert command is not None
    before = command.argv[: command.argv.index("-i")]
    assert ("/dev/dri/renderD129" in before) is (encoder.device is not None)
    assert "/dev" not in command.redacted
    assert f"-c:v {encoder.name}" in command.redacted


# The trial.


async def test_an_encoder_that_works_passes(program: str) -> None:
    await try_encoder(encoder_named(STANDS_IN), settings(), program)
    await try_encoder(SOFTWARE, settings(bitrate_kbps=800), program)


@pytest.mark.parametrize(
    ("name", "said"),
    [("h264_v4l2m2m", "valid device"), ("h264_vaapi", "No VA display"), ("h264_nvenc", "libcuda.so.1")],
)
async def test_an_encoder_without_its_device_fails_with_ffmpegs_reason(
    program: str, name: str, said: str
) -> None:
    if not listed(program, name=name) or Path(DEVICES[name]).exists():
        pytest.skip(f"this FFmpeg has no {name}, or this machine has its device")
    with pytest.raises(FfmpegFailed) as caught:
        await try_encoder(encoder_named(name), settings(), program)
    assert caught.value.reason == "encoder_failed"
    assert said in caught.value.details
    assert "/dev/dri" not in caught.value.details
    assert caught.value.suggestion == encoder_named(name).hint


async def test_an_encoder_that_ffmpeg_does_not_have_is_told_as_such(program: str) -> None:
    with pytest.raises(FfmpegFailed, match="this FFmpeg does not have it") as caught:
        await try_encoder(encoder_named("h264_of_nowhere"), settings(), program)
    assert caught.value.reason == "encoder_unknown"


async def test_an_encoder_that_hangs_is_ended(script: Callable[[str], str], tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = script(f"echo $$ > {pid}; exec sleep 1000")
    with pytest.raises(FfmpegFailed) as caught:
        await try_encoder(encoder_named(STANDS_IN), settings(), program, limit_s=2)
    assert caught.value.reason == "encoder_silent"
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.parametrize("body", ["exit 0", r"printf '\000\000\001\147\000\000\001\150'", "printf x"])
async def test_what_no_player_can_start_with_does_not_pass(script: Callable[[str], str], body: str) -> None:
    with pytest.raises(FfmpegFailed) as caught:
        await try_encoder(encoder_named(STANDS_IN), settings(), script(body))
    assert caught.value.reason == "encoder_unusable"


async def test_mpeg4_is_not_taken_for_h264(program: str) -> None:
    with pytest.raises(FfmpegFailed):
        await try_encoder(encoder_named("mpeg4"), settings(), program)


# The agent's choice.


def plugin(program: str, tmp_path: Path, encoder: str) -> tuple[FfmpegTierPlugin, list[HardwareEncoder]]:
    made = FfmpegTierPlugin(settings(encoder=encoder, program=program))
    return made, cast("list[HardwareEncoder]", made.agent_components(FakeAgent(tmp_path, program)))


async def test_a_working_encoder_is_used_after_the_trial_and_no_stream_begins_before(
    program: str, tmp_path: Path
) -> None:
    made, (component,) = plugin(program, tmp_path, STANDS_IN)
    with pytest.raises(FfmpegFailed) as caught:
        made.agent_publisher(INPUT)
    assert caught.value.reason == "encoder_untried"
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(component.run)
            assert encoder_of(made.agent_publisher(INPUT)) == STANDS_IN
            tg.cancel_scope.cancel()


async def test_streams_are_in_software_while_the_encoder_does_not_work(program: str, tmp_path: Path) -> None:
    made, (component,) = plugin(program, tmp_path, "h264_of_nowhere")
    with pytest.raises(FfmpegFailed, match=r"Streams are encoded in software \(libx264\)") as caught:
        await component.run()
    assert caught.value.reason == "encoder_unknown"
    assert encoder_of(made.agent_publisher(INPUT)) == "libx264"


async def test_an_encoder_whose_driver_comes_late_is_used_from_then_on(
    program: str, tmp_path: Path, script: Callable[[str], str]
) -> None:
    marker = tmp_path / "driver"
    made, (component,) = plugin(
        script(f'test -e {marker} || {{ echo "No driver" >&2; exit 1; }}\nexec {program} "$@"'),
        tmp_path,
        STANDS_IN,
    )
    with pytest.raises(FfmpegFailed, match="No driver"):
        await component.run()
    assert encoder_of(made.agent_publisher(INPUT)) == "libx264"
    marker.touch()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(component.run)
            tg.cancel_scope.cancel()
    assert encoder_of(made.agent_publisher(INPUT)) == STANDS_IN


def test_the_usual_encoder_is_not_tried(program: str, tmp_path: Path) -> None:
    made, components = plugin(program, tmp_path, "libx264")
    assert components == []
    assert encoder_of(made.agent_publisher(INPUT)) == "libx264"


@pytest.mark.parametrize(
    ("encoder", "statuses"),
    [
        ("libx264", []),
        (STANDS_IN, [FindingStatus.OK]),
        ("h264_of_nowhere", [FindingStatus.WARNING]),
    ],
)
async def test_doctor_tries_it_too(program: str, encoder: str, statuses: list[FindingStatus]) -> None:
    for configured in (settings(encoder=encoder, program=program), settings(encoder=encoder)):
        other = "/nowhere/ffmpeg" if configured.program else program
        (check,) = FfmpegTierPlugin(configured).agent_checks(other)
        assert isinstance(check, EncoderCheck)
        assert [each.status for each in await check.look()] == statuses
