"""Lists of cameras as the programs print them, read without trust in their form."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

__all__ = ("ListedCamera", "parse_cam", "parse_rpicam")

#: Most cameras that are taken from a list, and the longest line, far above real ones.
_MOST_CAMERAS, _LONGEST_LINE = 64, 1000
_TITLE = "Available cameras"
#: Colours of libcamera's log, which programs print without a terminal, too.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: `1: Internal front camera (ID)`, `1: 'MODEL' (ID)`, `1: External camera 'MODEL' (ID)`: cam of libcamera 0.0 to 0.7,
#: src/apps/cam/main.cpp.
_CAM = re.compile(r"([0-9]{1,3}): (?:(.*) )?\(([^()]+)\)")
#: `0 : imx219 [3280x2464 10-bit RGGB] (ID)`: rpicam-apps 1.0 to 1.9, core/options.cpp.
_RPICAM = re.compile(r"([0-9]{1,3}) : (.*?) \[[^\]]*\] \(([^()]+)\)")
#: End of the id of a USB camera: bus, ports, configuration and interface, vendor and product
#: (libcamera, src/libcamera/pipeline/uvcvideo/uvcvideo.cpp, UVCCameraData::generateId).
_USB = re.compile(r"-[0-9.:-]+:[0-9]+\.[0-9]+-[0-9a-f]{4}:[0-9a-f]{4}$")
#: Sensor at the end of an id from the device tree, such as `imx219@10`.
_SENSOR = re.compile(r"/([A-Za-z][A-Za-z0-9_,.-]*)@[0-9a-fA-F]+$")


@dataclass(frozen=True, slots=True)
class ListedCamera:
    """Camera in a list: libcamera's `id`, its place `index` from 0, and its model and description, empty if unknown."""

    id: str
    index: int
    model: str
    description: str

    @property
    def is_usb(self) -> bool:
        """True for a USB camera, by the form of its id."""
        return _USB.search(self.id) is not None

    @property
    def shown_name(self) -> str:
        """Name for people: the model, else the place of the camera, else the end of its id."""
        return self.model or self.description or self.id.rpartition("/")[2] or "camera"


def parse_cam(text: str) -> tuple[ListedCamera, ...] | None:
    """Return the cameras that `cam --list` has printed, None if `text` is no such list."""
    return _parsed(text, (), _CAM, 1, _described_by_cam)


def parse_rpicam(text: str) -> tuple[ListedCamera, ...] | None:
    """Return the cameras that `rpicam-vid --list-cameras` has printed, None if `text` is no such list."""
    return _parsed(text, ("No cameras available!",), _RPICAM, 0, _described_by_rpicam)


Describe = Callable[[str], tuple[str, str]]


def _parsed(
    text: str, empty: tuple[str, ...], form: re.Pattern[str], first: int, describe: Describe
) -> tuple[ListedCamera, ...] | None:
    lines = [line for line in _lines(text) if len(line) <= _LONGEST_LINE]
    if any(line in empty for line in lines):
        return ()
    starts = [number for number, line in enumerate(lines) if line.rstrip(":") == _TITLE]
    if not starts:
        return None
    found = (form.fullmatch(line) for line in lines[starts[0] + 1 :])
    cameras = (_camera(match, first, describe) for match in found if match)
    return tuple(_distinct(each for each in cameras if each.id.isprintable()))


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield _COLOUR.sub("", line).strip()


def _camera(match: re.Match[str], first: int, describe: Describe) -> ListedCamera:
    model, description = describe(_shown(match[2] or ""))
    identity = match[3].strip()
    sensor = _SENSOR.search(identity)
    return ListedCamera(
        identity, max(int(match[1]) - first, 0), model or (sensor[1] if sensor else ""), description
    )


def _shown(text: str) -> str:
    return "".join(each for each in text if each.isprintable()).strip()[:100]


def _described_by_cam(text: str) -> tuple[str, str]:
    before, mark, rest = text.partition("'")
    model, end, _ = rest.rpartition("'")
    return (model.strip(), before.strip()) if mark and end else ("", text)


def _described_by_rpicam(text: str) -> tuple[str, str]:
    return text, ""


def _distinct(cameras: Iterable[ListedCamera]) -> list[ListedCamera]:
    found: dict[str, ListedCamera] = {}
    for camera in cameras:
        if camera.id and len(found) < _MOST_CAMERAS:
            found.setdefault(camera.id, camera)
    return list(found.values())
