"""Programs that capture from and list the cameras of libcamera, with their options as tables of data."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from libcamera_source.failures import no_video
from libcamera_source.listing import ListedCamera, parse_cam, parse_rpicam
from libcamera_source.settings import CaptureSettings, ProgramChoice

__all__ = (
    "ALWAYS",
    "CAM",
    "GSTREAMER",
    "ORIENTATION",
    "PROGRAMS",
    "RPICAM",
    "Option",
    "Program",
    "Tools",
    "command",
    "find_tools",
)

#: `Option.setting` of words that belong to each command.
ALWAYS = "always"
#: `Option.setting` of the one word that `rotation`, `hflip` and `vflip` make together.
ORIENTATION = "orientation"
#: Settings that turn the picture.
_TURNS = frozenset({"rotation", "hflip", "vflip"})
#: Words of `cam` for a picture that is mirrored left to right, and top to bottom; both make half a turn.
_ORIENTATIONS = {(True, True): "rot180", (True, False): "mirror", (False, True): "flip"}
_RPICAM_SOURCE = "raspberrypi/rpicam-apps, tag v1.9.1: core/options.cpp and core/video_options.hpp"
_DOCUMENTED = "documentation only"
_SHOWN = "virtual pipeline of libcamera 0.4, Debian 13"
_LIBCAMERASRC = "libcamera, tag v0.4.0: src/gstreamer/gstlibcamerasrc.cpp"
_CAM_SOURCE = "libcamera, tag v0.4.0: src/apps/cam/main.cpp and src/apps/common/stream_options.cpp"
_ORIENTATION_SOURCE = "libcamera, tag v0.4.0: src/apps/cam/camera_session.cpp, and Orientation in include/libcamera/orientation.h"
_GSTREAMER = "gst-inspect-1.0 of GStreamer 1.26"

Parse = Callable[[str], tuple[ListedCamera, ...] | None]


@dataclass(frozen=True, slots=True)
class Option:
    """Words that a setting adds to a command.

    Attributes:
        setting: name of the setting, `ALWAYS` or `ORIENTATION`; the words are added if it is neither None, False, 0 nor empty.
        words: words with places for values in braces, see `_values`; a word `{...}` alone may become several.
        source: document that describes the option.
        shown_on: where the option was seen to work.
    """

    setting: str
    words: tuple[str, ...]
    source: str
    shown_on: str


@dataclass(frozen=True, slots=True)
class Program:
    """Program that writes a camera's pictures to its standard output.

    Attributes:
        name: value of the setting `program`.
        executables: names of the program, newest first.
        package: where to get it, for messages.
        options: words of a command in their order, for a camera with raw pictures.
        jpeg_options: the same for a camera that makes JPEGs, unless these must be turned and it has no words for that; None
            if the program encodes in any case.
        h264_options: the same for video that the board encodes; empty if the program cannot encode.
        listers: programs that list its cameras, best first: their words and the parser of the output.
        list_acquires: the list opens each camera, so it fails for, and disturbs, one that is in use.
        probe: words that end with status 0 if the program has what it needs, and prepare its start; None if it needs nothing.
    """

    name: ProgramChoice
    executables: tuple[str, ...]
    package: str
    options: tuple[Option, ...]
    jpeg_options: tuple[Option, ...] | None
    h264_options: tuple[Option, ...]
    listers: tuple[tuple[tuple[str, ...], Parse], ...]
    list_acquires: bool
    probe: tuple[str, ...] | None = None


def _rpicam(setting: str, *words: str) -> Option:
    return Option(setting, words, _RPICAM_SOURCE, _DOCUMENTED)


def _source(setting: str, *words: str, shown_on: str = _SHOWN) -> Option:
    return Option(setting, words, _LIBCAMERASRC, shown_on)


def _element(setting: str, *words: str, shown_on: str = _SHOWN) -> Option:
    return Option(setting, words, _GSTREAMER, shown_on)


_RPICAM_CAMERA = (
    _rpicam(ALWAYS, "--camera", "{index}", "--timeout", "0", "--nopreview", "--flush", "--output", "-"),
    _rpicam("width", "--width", "{width}"),
    _rpicam("height", "--height", "{height}"),
    _rpicam("fps", "--framerate", "{fps}"),
    _rpicam("rotation", "--rotation", "{rotation}"),
    _rpicam("hflip", "--hflip"),
    _rpicam("vflip", "--vflip"),
    _rpicam("tuning_file", "--tuning-file", "{tuning_file}"),
    _rpicam("extra_arguments", "{extra_arguments}"),
)
RPICAM = Program(
    "rpicam",
    ("rpicam-vid", "libcamera-vid"),
    "rpicam-apps (Raspberry Pi OS)",
    (
        *_RPICAM_CAMERA,
        _rpicam(ALWAYS, "--codec", "mjpeg"),
        _rpicam("jpeg_quality", "--quality", "{jpeg_quality}"),
    ),
    None,
    (
        *_RPICAM_CAMERA,
        # The format is for boards without an encoder (Raspberry Pi 5), where FFmpeg's libraries encode.
        _rpicam(ALWAYS, "--codec", "h264", "--inline", "--libav-format", "h264"),
        _rpicam("key_interval_s", "--intra", "{key_interval}"),
        _rpicam("bitrate", "--bitrate", "{bitrate}"),
    ),
    ((("rpicam-vid", "--list-cameras"), parse_rpicam), (("libcamera-vid", "--list-cameras"), parse_rpicam)),
    list_acquires=True,
)

_GSTREAMER_CAMERA = (
    _element(ALWAYS, "--quiet"),
    _source(ALWAYS, "libcamerasrc", "camera-name={gst_id}"),
    _source("extra_arguments", "{extra_arguments}", shown_on=_DOCUMENTED),
)
_GSTREAMER_RAW = (
    *_GSTREAMER_CAMERA,
    # The camera's next rate and size are adapted, so that what the pipeline asks for can always be negotiated.
    _element(ALWAYS, "!", "videorate", "drop-only=true", "!", "videoscale"),
    _element(ALWAYS, "!", "video/x-raw,width={width},height={height},framerate={fraction}"),
    _element("rotation", "!", "videoflip", "video-direction=180", shown_on=_DOCUMENTED),
    _element("hflip", "!", "videoflip", "video-direction=horiz", shown_on=_DOCUMENTED),
    _element("vflip", "!", "videoflip", "video-direction=vert", shown_on=_DOCUMENTED),
)
_GSTREAMER_OUTPUT = _element(ALWAYS, "!", "fdsink", "fd=1", "sync=false")
_PASSED_JPEG = "image/jpeg,width={width},height={height},framerate={fraction}"
GSTREAMER = Program(
    "gstreamer",
    ("gst-launch-1.0",),
    "gstreamer1.0-tools, gstreamer1.0-libcamera, gstreamer1.0-plugins-base and gstreamer1.0-plugins-good",
    (
        *_GSTREAMER_RAW,
        _element(ALWAYS, "!", "videoconvert", "!", "jpegenc"),
        _element("jpeg_quality", "quality={jpeg_quality}", shown_on=_DOCUMENTED),
        _GSTREAMER_OUTPUT,
    ),
    (*_GSTREAMER_CAMERA, _element(ALWAYS, "!", _PASSED_JPEG, shown_on=_DOCUMENTED), _GSTREAMER_OUTPUT),
    (
        *_GSTREAMER_RAW,
        _element(
            ALWAYS,
            "!",
            "videoconvert",
            "!",
            "v4l2h264enc",
            "extra-controls={encoder_controls}",
            shown_on=_DOCUMENTED,
        ),
        _element(ALWAYS, "!", "video/x-h264,level=(string)4.2", "!", "h264parse", shown_on=_DOCUMENTED),
        _element(ALWAYS, "!", "video/x-h264,stream-format=byte-stream,alignment=au", shown_on=_DOCUMENTED),
        _GSTREAMER_OUTPUT,
    ),
    ((("cam", "--list"), parse_cam),),
    list_acquires=False,
    probe=("gst-inspect-1.0", "--exists", "libcamerasrc"),
)


def _cam(setting: str, *words: str, shown_on: str = _DOCUMENTED) -> Option:
    return Option(setting, words, _CAM_SOURCE, shown_on)


def _cam_options(stream: str) -> tuple[Option, ...]:
    return (
        _cam(ALWAYS, "--camera={id}", "--capture", "--file={pipe}"),
        _cam(ALWAYS, f"--stream=width={{width}},height={{height}},{stream}"),
        Option(ORIENTATION, ("--orientation={orientation}",), _ORIENTATION_SOURCE, _DOCUMENTED),
        _cam("extra_arguments", "{extra_arguments}"),
    )


#: Of this program, only the list is shown: libcamera 0.4 tells `cam` of the virtual pipeline's frames that they are empty.
CAM = Program(
    "cam",
    ("cam",),
    "libcamera-tools",
    _cam_options("pixelformat=NV12,colorspace=sYCC"),
    _cam_options("pixelformat=MJPEG"),
    (),
    ((("cam", "--list"), parse_cam),),
    list_acquires=False,
)
#: Programs in the order in which `auto` tries them.
PROGRAMS = (RPICAM, GSTREAMER, CAM)


@dataclass(frozen=True, slots=True)
class Tools:
    """Installed programs: `capture` is the path of `program`, `lister` the words that list, read by `parse`.

    `probe` are the words that tell whether it is complete; empty if it always is.
    """

    program: Program
    capture: str
    lister: tuple[str, ...]
    parse: Parse
    probe: tuple[str, ...] = ()


def find_tools(choice: ProgramChoice, search_path: str | None = None) -> tuple[Tools, ...]:
    """Return the programs of `choice` that are installed with one that lists, best first. Reads folders only.

    Args:
        choice: setting `program`.
        search_path: folders to search, in the form of PATH; default: PATH.
    """
    wanted = (program for program in PROGRAMS if choice in ("auto", program.name))
    return tuple(tools for program in wanted if (tools := _installed(program, search_path)) is not None)


def _installed(program: Program, search_path: str | None) -> Tools | None:
    captures = [shutil.which(name, path=search_path) for name in program.executables]
    capture = next((path for path in captures if path), None)
    lister = _lister(program, search_path)
    if capture is None or lister is None:
        return None
    return Tools(program, capture, *lister, _probe(program, search_path))


def _lister(program: Program, search_path: str | None) -> tuple[tuple[str, ...], Parse] | None:
    for words, parse in program.listers:
        path = shutil.which(words[0], path=search_path)
        if path is not None:
            return (path, *words[1:]), parse
    return None


def _probe(program: Program, search_path: str | None) -> tuple[str, ...]:
    if program.probe is None:
        return ()
    path = shutil.which(program.probe[0], path=search_path)
    return (path, *program.probe[1:]) if path else ()


def command(
    tools: Tools, camera: ListedCamera, settings: CaptureSettings, pipe: Path = Path("pipe")
) -> tuple[str, ...]:
    """Return the command that captures from `camera`; `pipe` is for raw frames of a program that writes such.

    Raises:
        CaptureFailed: (`program_unsuitable`) the program cannot do what is set.
    """
    program = tools.program
    values = {**_values(camera, settings), "pipe": pipe}
    words = [tools.capture]
    for option in _options(program, camera, settings):
        if option.setting == ALWAYS or values[option.setting]:
            words.extend(_filled(option.words, values))
    return tuple(words)


def _options(program: Program, camera: ListedCamera, settings: CaptureSettings) -> tuple[Option, ...]:
    if settings.codec == "h264":
        if not program.h264_options:
            raise no_video(program.executables[0])
        return program.h264_options
    makes_jpegs = settings.camera_format == "jpeg" or (settings.camera_format is None and camera.is_usb)
    if makes_jpegs and program.jpeg_options and not _is_turned_in_vain(program.jpeg_options, settings):
        return program.jpeg_options
    return program.options


def _is_turned_in_vain(options: Sequence[Option], settings: CaptureSettings) -> bool:
    """Return whether the picture must be turned, for which `options` have no words."""
    is_turned = any(getattr(settings, name) for name in _TURNS)
    return is_turned and not any(option.setting in (ORIENTATION, *_TURNS) for option in options)


def _orientation(settings: CaptureSettings) -> str:
    """Return the word of `cam` for the rotation and the flips together; empty if they leave the picture as it is."""
    is_half_turn = settings.rotation == 180
    return _ORIENTATIONS.get((settings.hflip is not is_half_turn, settings.vflip is not is_half_turn), "")


def _values(camera: ListedCamera, settings: CaptureSettings) -> Mapping[str, object]:
    rate = Fraction(settings.fps).limit_denominator(1001)
    key_interval = max(round(settings.key_interval_s * settings.fps), 1)
    controls = f"controls,repeat_sequence_header=1,h264_i_frame_period={key_interval}"
    return {
        **{name: getattr(settings, name) for name in CaptureSettings.model_fields},
        "fps": f"{settings.fps:g}",
        "fraction": f"{rate.numerator}/{rate.denominator}",
        "key_interval": key_interval,
        "encoder_controls": controls + (f",video_bitrate={settings.bitrate}" if settings.bitrate else ""),
        ORIENTATION: _orientation(settings),
        "id": camera.id,
        "gst_id": camera.id.replace("\\", "\\\\"),
        "index": camera.index,
    }


def _filled(words: Sequence[str], values: Mapping[str, object]) -> list[str]:
    filled: list[str] = []
    for word in words:
        value = values.get(word[1:-1]) if word[:1] == "{" and word[-1:] == "}" else None
        if isinstance(value, tuple):
            filled.extend(str(each) for each in value)
        else:
            filled.append(word.format_map(values))
    return filled
