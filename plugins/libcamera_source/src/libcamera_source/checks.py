"""Check of `camera-agent doctor` for libcamera: the installed programs, their cameras, and rights to devices."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_core.plugin import AgentError, Check, Finding, FindingStatus
from libcamera_source.listing import ListedCamera
from libcamera_source.programs import Tools
from libcamera_source.settings import LibcameraSettings
from libcamera_source.tables import CameraTables, known_as
from libcamera_source.tools import Toolbox

__all__ = ("LibcameraCheck",)

#: Time for the list, shorter than doctor's for the check.
_ANSWER_S = 8.0
#: Devices that provide memory for pictures; libcamera needs one of them for some pipelines (dma_buf_allocator.cpp).
_MEMORY = ("/dev/dma_heap/linux,cma", "/dev/dma_heap/reserved", "/dev/dma_heap/system", "/dev/udmabuf")


class LibcameraCheck(Check):
    """Check that lists libcamera's cameras without taking one from a running agent.

    Tests set the folders with programs (`search_path`, in the form of PATH), the `root` of the file system, and the time
    for the list (`answer_s`, in seconds).
    """

    name = "libcamera"

    def __init__(
        self,
        settings: LibcameraSettings,
        *,
        search_path: str | None = None,
        root: Path = Path("/"),
        answer_s: float = _ANSWER_S,
    ) -> None:
        self._settings = settings
        self._tables = CameraTables(settings)
        self._search_path = search_path
        self._root = root
        self._answer_s = answer_s

    async def look(self) -> Sequence[Finding]:
        with TemporaryDirectory(prefix="ca-") as folder:
            toolbox = Toolbox(self._settings.program, Path(folder), self._search_path)
            try:
                tools = await toolbox.tools()
            except AgentError as error:
                return [Finding(self.name, FindingStatus.FAILED, error.details, error.suggestion)]
            return [
                self._program(tools),
                *self._memory(),
                *self._tuning(),
                *([self._unlisted()] if tools.program.list_acquires else await self._listed(toolbox)),
            ]

    def _program(self, tools: Tools) -> Finding:
        name, lister = Path(tools.capture).name, Path(tools.lister[0]).name
        return Finding(self.name, FindingStatus.OK, f"Cameras are captured by {name} and listed by {lister}.")

    def _memory(self) -> Iterator[Finding]:
        present = [self._root / name.lstrip("/") for name in _MEMORY]
        present = [path for path in present if path.exists()]
        if present and not any(os.access(path, os.R_OK | os.W_OK) for path in present):
            yield Finding(
                self.name,
                FindingStatus.WARNING,
                "No device that provides memory for pictures (dma_heap, udmabuf) may be opened by this account.",
                "Give the group video access to it by a rule of udev; some cameras need none.",
            )

    def _tuning(self) -> Iterator[Finding]:
        captures = (self._settings.defaults, *self._settings.cameras)
        for path in dict.fromkeys(each.tuning_file for each in captures if each.tuning_file is not None):
            if not (path.is_file() and os.access(path, os.R_OK)):
                yield Finding(
                    self.name,
                    FindingStatus.FAILED,
                    f"This account cannot read the tuning_file {str(path)!r}, or there is no such file.",
                    "Correct tuning_file, or remove it: libcamera has a tuning of its own for each sensor that it knows.",
                )

    def _unlisted(self) -> Finding:
        return Finding(
            self.name,
            FindingStatus.OK,
            "The cameras are not listed here, because the list would take them from a running agent.",
        )

    async def _listed(self, toolbox: Toolbox) -> list[Finding]:
        with anyio.move_on_after(self._answer_s):
            try:
                cameras = await toolbox.list_cameras() or ()
            except AgentError as error:
                return [Finding(self.name, FindingStatus.FAILED, error.details, error.suggestion)]
            told = [self._count(cameras), *(self._camera(each) for each in cameras)]
            return [*told, *(self._unused(match, cameras) for match in self._tables.unused)]
        return [
            Finding(
                self.name,
                FindingStatus.FAILED,
                f"libcamera has not listed its cameras for {self._answer_s:g} s.",
                "Run `cam --list` by hand; if it hangs, restart the machine.",
            )
        ]

    def _count(self, cameras: Sequence[ListedCamera]) -> Finding:
        if cameras:
            return Finding(self.name, FindingStatus.OK, f"libcamera lists {len(cameras)} cameras.")
        return Finding(
            self.name,
            FindingStatus.WARNING,
            "libcamera lists no camera.",
            "Check the flat cable, with the power off, and that the board's configuration names the sensor.",
        )

    def _unused(self, match: str, cameras: Sequence[ListedCamera]) -> Finding:
        names = ", ".join(repr(name) for camera in cameras for name in known_as(camera))
        return Finding(
            self.name,
            FindingStatus.WARNING,
            f"No listed camera matches {match!r} (plugins.libcamera_source.cameras).",
            f"Connect that camera, or match one of these: {names}." if names else "Connect it.",
        )

    def _camera(self, camera: ListedCamera) -> Finding:
        use = self._tables.why_unused(camera) or "is used"
        return Finding(f"{camera.shown_name} ({camera.id})", FindingStatus.OK, f"The camera {use}.")
