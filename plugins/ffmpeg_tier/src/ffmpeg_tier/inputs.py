"""Media inputs as FFmpeg arguments, and the check that they carry no secret."""

import itertools
import re

from agent_core.plugin import FfmpegInput, FrameSocket, MediaInput, Url, VideoCodec

__all__ = ("WHOLE", "arguments", "can_open", "is_coded", "is_jpeg", "is_network", "is_secret_free")

#: Schemes allowed for a network stream; `file:`, `concat:` and similar ones would read the agent's own disk.
_SCHEMES = frozenset(["http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"])
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: Key of a secret in a query, also in FFmpeg's own options (`srt://...?passphrase=`).
_SECRET_KEY = re.compile(
    r"[?&;](?:[\w-]*(?:pass|pwd|token|secret|auth|sig|key)[\w-]*|user(?:name)?)=", re.IGNORECASE
)
_SECRET_OPTIONS = frozenset(
    [
        "-auth_type",
        "-cookies",
        "-cryptokey",
        "-decryption_key",
        "-headers",
        "-http_proxy",
        "-key",
        "-passphrase",
        "-password",
        "-rtmp_conn",
    ]
)
_JPEG_OPTIONS = {
    "-f": {"mjpeg", "mpjpeg", "jpeg_pipe"},
    "-input_format": {"mjpeg"},
    "-c:v": {"mjpeg"},
    "-codec:v": {"mjpeg"},
    "-vcodec": {"mjpeg"},
}
#: A still needs no frame rate and no second stream, so half a second of analysis is enough; a transport stream uses up
#: the default of 5 s. Only key frames are decoded, because the frames before the first one are grey.
_NETWORK = ("-analyzeduration", "500000", "-fpsprobesize", "0", "-skip_frame", "nokey")
#: FFmpeg conceals lost parts of a picture without a word. With `-xerror` a picture that its decoder marks as damaged is
#: an error; the decoders of H.265 and MPEG-2 mark none, but end at a fault with `explode`.
WHOLE = ("-xerror", "-err_detect", "explode")
#: HTTP cameras send JPEGs, and `explode` also refuses those with odd but harmless headers.
_WHOLE_HTTP = ("-xerror",)

#: The first picture is enough: FFmpeg would wait for seven of H.264 to learn that none is shown out of order, at low rates
#: for seconds. Its decoder passes each picture on at once, rather than one for each processor later.
_CODED = ("-probesize", "32", "-thread_type", "slice", "-flags", "low_delay")

#: Number of times that FFmpeg's Matroska reader reads again after a time-out (measured, FFmpeg 5.1 and 9).
_SOCKET_READS = 3
#: Silence of a regular camera, in frame intervals, that no single read mistakes for an end.
_SILENT_FRAMES = 1.5


def _carries_secret(word: str) -> bool:
    """Return True if `word` may carry a secret. Any @ in an address counts, because parsers disagree about it."""
    return bool(_SCHEME.search(word)) and ("@" in word or bool(_SECRET_KEY.search(word)))


def is_secret_free(media_input: MediaInput) -> bool:
    """Return True if the input may appear in a command line, which every user of the host can read."""
    match media_input:
        case Url(url=url, has_credentials=has_credentials):
            return not has_credentials and not _carries_secret(url)
        case FfmpegInput(args=args):
            return not any(word in _SECRET_OPTIONS or _carries_secret(word) for word in args)
        case FrameSocket():
            return True


def is_network(media_input: MediaInput) -> bool:
    """Return True if frames pass through unknown buffers, so that an arriving frame may be old."""
    match media_input:
        case Url():
            return True
        case FfmpegInput(args=args):
            return any(_SCHEME.search(word) for word in args)
        case FrameSocket():
            return False


def is_coded(media_input: MediaInput) -> bool:
    """Return True for a frame socket of H.264 or H.265, which is published as it comes."""
    return isinstance(media_input, FrameSocket) and media_input.codec is not VideoCodec.MJPEG


def is_jpeg(media_input: MediaInput) -> bool:
    """Return True if the input is known to be JPEG, so that its frames need no encoder."""
    match media_input:
        case FrameSocket(codec=codec):
            return codec is VideoCodec.MJPEG
        case FfmpegInput(args=args):
            pairs = itertools.pairwise(args)
            return any(value in _JPEG_OPTIONS.get(option, ()) for option, value in pairs)
        case Url():
            return False


def can_open(media_input: MediaInput) -> bool:
    """Return True if FFmpeg may open the input: it has no secret and no scheme that reaches the local disk."""
    if isinstance(media_input, Url):
        scheme = _SCHEME.match(media_input.url)
        if scheme is None or scheme[1].lower() not in _SCHEMES:
            return False
    return is_secret_free(media_input)


def _timeout(scheme: str, microseconds: int) -> tuple[str, ...]:
    match scheme:
        case "rtsp" | "rtsps":
            return ("-rtsp_transport", "tcp", "-timeout", str(microseconds))
        case "rtp":
            return ()
        case "udp" | "srt":
            return ("-timeout", str(microseconds))
        case _:
            return ("-rw_timeout", str(microseconds))


def _read_timeout_s(timeout_s: float, fps: float) -> float:
    """Return the limit of one read of a frame socket, so that FFmpeg leaves a silent socket after about `timeout_s`.

    A slow camera may be silent for longer between two frames.
    """
    frames_s = _SILENT_FRAMES / fps if fps > 0 else 0.0
    return max(timeout_s / _SOCKET_READS, frames_s)


def arguments(media_input: MediaInput, *, timeout_s: float) -> tuple[str, ...]:
    """Return the input as FFmpeg arguments that end with `-i NAME`.

    The header of a frame socket says all that FFmpeg would otherwise analyse frames for. Its time-out is
    `rw_timeout`, because FFmpeg's unix protocol ignores `timeout`.
    """
    microseconds = int(timeout_s * 1e6)
    match media_input:
        case FrameSocket(path=path, fps=fps):
            read_us = str(int(_read_timeout_s(timeout_s, fps) * 1e6))
            coded = _CODED if is_coded(media_input) else ()
            opened = ("-rw_timeout", read_us, "-fpsprobesize", "0", *coded)
            return (*opened, "-f", "matroska", "-i", f"unix:{path}")
        case Url(url=url):
            scheme, _, rest = url.partition(":")
            scheme = scheme.lower()  # FFmpeg compares schemes with case
            whole = _WHOLE_HTTP if scheme in ("http", "https") else WHOLE
            return (*_timeout(scheme, microseconds), *_NETWORK, *whole, "-i", f"{scheme}:{rest}")
        case FfmpegInput(args=args):
            return args
