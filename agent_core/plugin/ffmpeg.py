"""FFmpeg as a tool that plugins share: find it, run it, and say in a sentence what went wrong."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from agent_core import processes
from agent_core.errors import FfmpegFailed

__all__ = ("QUIET", "explain", "locate", "run")

#: Arguments that every run starts with: no banner, only errors, never read the terminal.
QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")

_MISSING = (
    "Install FFmpeg, set ffmpeg.program in the configuration, or add the Python package imageio-ffmpeg."
)

#: What FFmpeg prints, and what it means; the first that matches wins.
_EXPLANATIONS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"Device or resource busy",
        "device_busy",
        "The camera is in use by another program.",
        "Close the other program, or let the agent own the camera.",
    ),
    (
        r"(Connection refused|Failed to connect)",
        "connection_refused",
        "Nothing answers at the stream's address.",
        "Check the address and that the stream's server runs.",
    ),
    (
        r"(401 Unauthorized|403 Forbidden|authorization failed)",
        "not_authorized",
        "The stream wants other credentials.",
        "Check the user name and password of the stream.",
    ),
    (
        r"(404 Not Found|400 Bad Request)",
        "stream_not_found",
        "The server has no such stream.",
        "Check the path in the stream's address.",
    ),
    (
        r"(timed out|Connection timeout|Immediate exit requested)",
        "timed_out",
        "The source did not answer in time.",
        "Check the network and the camera's load.",
    ),
    (
        r"(No route to host|Network is unreachable|Name or service not known)",
        "unreachable",
        "The stream's host cannot be reached.",
        "Check the network and the address.",
    ),
    (
        r"No such file or directory",
        "input_missing",
        "The input does not exist.",
        "Check that the camera or file is still there.",
    ),
    (
        r"Permission denied",
        "permission_denied",
        "The agent may not open the input.",
        "Give the agent's user access to it (group video for cameras).",
    ),
    (
        r"(No space left on device)",
        "no_space",
        "There was no space left, on a disk or on the USB bus.",
        "Free disk space; for a USB camera use a smaller size or another port.",
    ),
    (
        r"(Unknown (encoder|decoder|input format)|Unrecognized option|Option not found|Requested output format)",
        "ffmpeg_unsuitable",
        "This FFmpeg build lacks something that is needed.",
        "Install a complete FFmpeg, such as Debian's.",
    ),
    (
        r"(Invalid data found|does not contain any stream|Output file is empty|moov atom not found)",
        "no_picture",
        "The source delivered nothing that is a picture.",
        "Check what the source sends.",
    ),
)

_SECRETS = re.compile(r"[a-z][a-z0-9+.-]*://\S+|(?<![\w.])/\S+")


def locate(program: str | None = None) -> str:
    """The FFmpeg to use: `program` if given, else the one on PATH, else the `imageio-ffmpeg` wheel's.

    Raises:
        FfmpegFailed: there is none (`ffmpeg_missing`).
    """
    found = shutil.which(program or "ffmpeg")
    if found is None and program is None:
        found = _bundled()
    if found is None:
        which = f"The configured FFmpeg ({Path(program).name})" if program else "FFmpeg"
        raise FfmpegFailed(f"{which} was not found.", reason="ffmpeg_missing", suggestion=_MISSING)
    return found


def _bundled() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def explain(stderr: str, returncode: int) -> FfmpegFailed:
    """FFmpeg's last words as an error; addresses and paths are taken out of them."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    last = _SECRETS.sub("<input>", lines[-1])[:300] if lines else f"it ended with status {returncode}"
    for pattern, reason, details, suggestion in _EXPLANATIONS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return FfmpegFailed(details, reason=reason, suggestion=suggestion, detail=last)
    return FfmpegFailed(f"FFmpeg failed: {last}.", detail=last)


async def run(program: str, arguments: Sequence[str]) -> bytes:
    """Run FFmpeg to its end and return what it wrote to standard output; cancelling kills it.

    Raises:
        FfmpegFailed: it is gone, or ended with an error, as a sentence.
    """
    try:
        finished = await processes.run([program, *QUIET, *arguments])
    except FileNotFoundError as error:
        raise FfmpegFailed("FFmpeg was not found.", reason="ffmpeg_missing", suggestion=_MISSING) from error
    if finished.returncode != 0:
        raise explain(finished.stderr, finished.returncode)
    return finished.stdout
