"""Explanations of FFmpeg's failures, without addresses, paths and credentials."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent_core.base.errors import FfmpegFailed

__all__ = ("explain", "redact")

#: Exit codes for a program that cannot be executed (exec(3) passes an unknown format to a shell).
_NOT_EXECUTED = (126, 127)


class _Explanation(NamedTuple):
    pattern: str
    reason: str
    details: str
    suggestion: str


#: Messages of FFmpeg 5.1 to 9 and their meaning. The first match wins, so causes come before consequences.
_EXPLANATIONS = (
    _Explanation(
        r"Unknown (?:encoder|decoder|input format)|Unrecognized option|(?:Option|Encoder|Decoder|Protocol) not found"
        r"|Requested output format|is not a suitable output format|No such filter",
        "ffmpeg_unsuitable",
        "This FFmpeg build lacks a required encoder, decoder, protocol or option.",
        "Install a complete FFmpeg, such as Debian's, and check the settings of the plugin that uses it.",
    ),
    _Explanation(
        r"Device or resource busy",
        "device_busy",
        "The camera is in use by another program.",
        "Close the other program.",
    ),
    _Explanation(
        r"Connection refused|Failed to connect",
        "connection_refused",
        "The stream's address refused the connection.",
        "Check the address and whether the stream's server runs.",
    ),
    _Explanation(
        r"401 Unauthorized|403 Forbidden|authorization failed",
        "not_authorized",
        "The stream's server refused the credentials.",
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
        "Look at the log of the stream's server.",
    ),
    _Explanation(
        # "Read error" is the Matroska reader's message about a silent frame socket.
        r"timed out|Connection timeout|Read error at pos",
        "timed_out",
        "The source did not answer in time.",
        "Check the network and the load of the camera.",
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
        "Try again; look at the log of the stream's server.",
    ),
    _Explanation(
        r"No such file or directory|No such device",
        "input_missing",
        "The input does not exist.",
        "Check that the camera or file still exists.",
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
        "No space is left, on a disk or on the USB bus.",
        "Free disk space; for a USB camera use a smaller size or another port.",
    ),
    _Explanation(
        r"Cannot allocate memory",
        "no_memory",
        "FFmpeg ran out of memory.",
        "Free memory, or use a smaller picture.",
    ),
    _Explanation(
        r"exceeds specified max pixel count",
        "picture_too_large",
        "The pictures have too many pixels.",
        "Lower the camera's resolution.",
    ),
    _Explanation(
        r"corrupt decoded frame|error while decoding MB|concealing \d+|Decoding error|Error submitting packet to decoder"
        r"|Error while decoding stream",
        "damaged_picture",
        "The source sent a damaged picture, or parts of it were lost.",
        "Take another snapshot; check the network and the load of the camera.",
    ),
    _Explanation(
        r"Invalid data found|does not contain any stream|matches no streams|Output file (?:#\d+ )?is empty"
        r"|moov atom not found|dimensions not set|Is a directory",
        "no_picture",
        "The source did not deliver a picture.",
        "Check what the source sends.",
    ),
)


#: Matches only at the start of a word. A match at every letter would take quadratic time for a long word.
_ADDRESS = re.compile(
    r"(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s'\"]+|(?<![^\s'\"])[^\s'\"]+@[^\s'\"]+", re.IGNORECASE
)


#: A path, from a leading slash to the next colon, quote or bracket. It may contain spaces.
_PATH = re.compile(r"(?<![\w.<])/[^:'\"\]\n]*")


_CONTEXT = re.compile(r"^\[[^\]\n]* @ 0x[0-9a-f]+\] ", re.MULTILINE)


def _names(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the names of inputs and output in `arguments`, with and without FFmpeg's `protocol:`.

    Pipes are left out: they name no place, and their numbers are part of many messages.
    """
    inputs = [value for option, value in itertools.pairwise(arguments) if option == "-i"]
    for name in (*inputs, *arguments[-1:]):
        protocol, _, rest = name.partition(":")
        if protocol not in {"pipe", "-"}:
            yield name
            yield rest


def redact(text: str, arguments: Sequence[str] = ()) -> str:
    """Return `text` without addresses, paths, and the inputs and output named in `arguments`."""
    for name in sorted({*_names(arguments)} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<input>", text)
    return _PATH.sub("<input>", _ADDRESS.sub("<input>", _CONTEXT.sub("", text)))


def explain(stderr: str, returncode: int, arguments: Sequence[str] = ()) -> FfmpegFailed:
    """Return FFmpeg's failure as an error without addresses, paths and credentials.

    Args:
        stderr: FFmpeg's messages, or the end of them.
        returncode: exit code, negative for a signal.
        arguments: FFmpeg's arguments; the names of inputs and output in them are removed from the text.
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
