"""Trial of an encoder: one picture, encoded as a stream would be. It shows what a list of encoders does not.

FFmpeg lists the encoders that it was built with, whether their hardware and drivers are there or not.
"""

import re

import anyio

from agent_core.plugin import FfmpegFailed, ffmpeg
from agent_core.plugin.processes import Finished, run
from ffmpeg_tier.encoders import Encoder
from ffmpeg_tier.publisher import device_options, video_options
from ffmpeg_tier.settings import FfmpegTierSettings

__all__ = ("TRIAL_S", "try_encoder")

#: Longest time for the trial. FFmpeg's start takes seconds on a busy small board, and `doctor` allows a check 10 s.
TRIAL_S = 8.0
_OUTPUT_LIMIT_BYTES = 4 << 20
_UNKNOWN = re.compile(r"Unknown encoder|Encoder not found")
#: NAL units by type (H.264, table 7-1): IDR picture, sequence and picture parameter sets. No player can start without.
_NAL_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_NEEDED = frozenset({5, 7, 8})


async def try_encoder(
    encoder: Encoder, settings: FfmpegTierSettings, program: str, *, limit_s: float = TRIAL_S
) -> None:
    """Encode one picture with the FFmpeg `program` and the options of a stream.

    Raises:
        FfmpegFailed: `encoder_unknown`, `encoder_failed`, `encoder_silent` (no end within `limit_s`), or
            `encoder_unusable` (the result is not H.264 that a player can start with).
    """
    finished: Finished | None = None
    arguments = _arguments(encoder, settings)
    with anyio.move_on_after(limit_s):
        finished = await run((program, *ffmpeg.QUIET, *arguments), output_limit_bytes=_OUTPUT_LIMIT_BYTES)
    if finished is None:
        raise _failure(encoder, "encoder_silent", f"it did not encode a picture within {limit_s:g} s")
    if finished.returncode != 0:
        raise _explained(encoder, ffmpeg.redact(finished.stderr, arguments))
    found = {match[1][0] & 0x1F for match in _NAL_UNIT.finditer(finished.stdout)}
    if not found >= _NEEDED:
        raise _failure(
            encoder, "encoder_unusable", "what it encodes is not H.264 that a player can start with"
        )


def _arguments(encoder: Encoder, settings: FfmpegTierSettings) -> tuple[str, ...]:
    picture = ("-f", "rawvideo", "-pix_fmt", "yuvj422p", "-video_size", "1280x720", "-i", "/dev/zero")
    encoded = (*video_options(encoder, settings), "-frames:v", "1", "-f", "h264", "pipe:1")
    return (*device_options(encoder, settings), *picture, *encoded)


def _explained(encoder: Encoder, said: str) -> FfmpegFailed:
    """Return the failure with FFmpeg's first line, which is the cause; those that follow are the consequences."""
    if _UNKNOWN.search(said):
        return _failure(encoder, "encoder_unknown", "this FFmpeg does not have it")
    first = next((line.strip() for line in said.splitlines() if line.strip()), "FFmpeg gives no reason")
    return _failure(encoder, "encoder_failed", first[:200].rstrip("."))


def _failure(encoder: Encoder, reason: str, why: str) -> FfmpegFailed:
    return FfmpegFailed(
        f"The encoder {encoder.name} cannot be used: {why}.",
        reason=reason,
        suggestion=encoder.hint,
        detail=why,
    )
