import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent_core.base.errors import FfmpegFailed

__all__ = ("explain", "redact")

#: What execution of the program itself ends with when it fails (exec(3) hands an unknown format to a shell).
_NOT_EXECUTED = (126, 127)


class _Explanation(NamedTuple):
    pattern: str
    reason: str
    details: str
    suggestion: str


#: What FFmpeg 5.1 to 9 print, and what it means; the first that matches wins, so causes stand before consequences.
_EXPLANATIONS = (
    _Explanation(
        r"Unknown (?:encoder|decoder|input format)|Unrecognized option|(?:Option|Encoder|Decoder|Protocol) not found"
        r"|Requested output format|is not a suitable output format|No such filter",
        "ffmpeg_unsuitable",
        "This FFmpeg build lacks something that is needed.",
        "Install a complete FFmpeg, such as Debian's, and check the settings of the plugin that uses it.",
    ),
    _Explanation(
        r"Device or resource busy",
        "device_busy",
        "The camera is in use by another program.",
        "Close the other program, or let the agent own the camera.",
    ),
    _Explanation(
        r"Connection refused|Failed to connect",
        "connection_refused",
        "Nothing answers at the stream's address.",
        "Check the address and that the stream's server runs.",
    ),
    _Explanation(
        r"401 Unauthorized|403 Forbidden|authorization failed",
        "not_authorized",
        "The stream wants other credentials.",
        "Check the user name and password of the stream.",
    ),
    _Explanation(
        r"404 Not Found|400 Bad Request",
        "stream_not_found",
        "The server has no such stream.",
        "Check the path in the stream's address.",
    ),
    _Explanation(
        r"Server returned (?:4XX Client Error|5XX Server Error|5\d\d)|50\d (?:Internal|Service|Bad Gateway)",
        "server_failed",
        "The stream's server answered with an error.",
        "Look into the log of the stream's server.",
    ),
    _Explanation(
        r"timed out|Connection timeout",
        "timed_out",
        "The source did not answer in time.",
        "Check the network and the camera's load.",
    ),
    _Explanation(
        r"No route to host|Network is unreachable|Failed to resolve hostname|Name or service not known",
        "unreachable",
        "The stream's host cannot be reached.",
        "Check the network and the address.",
    ),
    _Explanation(
        r"Broken pipe|Connection reset by peer",
        "connection_lost",
        "The other side closed the connection.",
        "Look into the log of the stream's server; try again.",
    ),
    _Explanation(
        r"No such file or directory|No such device",
        "input_missing",
        "The input does not exist.",
        "Check that the camera or file is still there.",
    ),
    _Explanation(
        r"Permission denied",
        "permission_denied",
        "The agent may not open the input.",
        "Give the agent's user access to it (group video for cameras).",
    ),
    _Explanation(
        r"No space left on device",
        "no_space",
        "There was no space left, on a disk or on the USB bus.",
        "Free disk space; for a USB camera use a smaller size or another port.",
    ),
    _Explanation(
        r"Cannot allocate memory",
        "no_memory",
        "There was not enough memory for FFmpeg.",
        "Free memory, or use a smaller picture.",
    ),
    _Explanation(
        r"Invalid data found|does not contain any stream|matches no streams|Output file (?:#\d+ )?is empty"
        r"|moov atom not found|dimensions not set|Is a directory",
        "no_picture",
        "The source delivered nothing that is a picture.",
        "Check what the source sends.",
    ),
)


#: Both are looked for at the start of a word only: at each of its letters, a long word would be read as often.
_ADDRESS = re.compile(
    r"(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s'\"]+|(?<![^\s'\"])[^\s'\"]+@[^\s'\"]+", re.IGNORECASE
)


#: From a leading slash to the next colon, quote or bracket: a path may have spaces in it.
_PATH = re.compile(r"(?<![\w.<])/[^:'\"\]\n]*")


_CONTEXT = re.compile(r"^\[[^\]\n]* @ 0x[0-9a-f]+\] ", re.MULTILINE)


def _names(arguments: Sequence[str]) -> Iterator[str]:
    """Return the names in `arguments`: inputs and the output, with and without FFmpeg's `protocol:`."""
    inputs = [value for option, value in itertools.pairwise(arguments) if option == "-i"]
    for name in (*inputs, *arguments[-1:]):
        yield name
        yield name.partition(":")[2]


def redact(text: str, arguments: Sequence[str] = ()) -> str:
    """`text` without addresses, paths, and the names of inputs and output in `arguments`, for people and logs."""
    for name in sorted({*_names(arguments)} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<input>", text)
    return _PATH.sub("<input>", _ADDRESS.sub("<input>", _CONTEXT.sub("", text)))


def explain(stderr: str, returncode: int, arguments: Sequence[str] = ()) -> FfmpegFailed:
    """FFmpeg's last words as an error without addresses, paths and credentials.

    Args:
        stderr: what it printed, or the end of it.
        returncode: negative for a signal.
        arguments: what it was called with, so that the names in them are recognised and taken out.
    """
    said = redact(stderr, arguments)
    for pattern, reason, details, suggestion in _EXPLANATIONS:
        if match := re.search(pattern, said, re.IGNORECASE):
            return FfmpegFailed(details, reason=reason, suggestion=suggestion, detail=match[0])
    if returncode < 0:
        return FfmpegFailed(
            f"FFmpeg was ended by signal {-returncode}.",
            reason="ffmpeg_killed",
            suggestion="Check the machine's memory and its kernel log.",
        )
    if returncode in _NOT_EXECUTED:
        return FfmpegFailed(
            "The FFmpeg program cannot be executed.",
            reason="ffmpeg_unusable",
            suggestion="Install an FFmpeg for this machine's architecture, or correct ffmpeg.program.",
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1][:300].rstrip(".") if lines else f"it ended with status {returncode}"
    return FfmpegFailed(f"FFmpeg failed: {last}.", detail=last)
