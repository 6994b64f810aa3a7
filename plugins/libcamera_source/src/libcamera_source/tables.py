"""Choice of the settings table of a camera, and the tables that no camera has used."""

from enum import StrEnum

from agent_core.plugin.matching import MatchedTables
from libcamera_source.listing import ListedCamera
from libcamera_source.settings import CameraSettings, LibcameraSettings

__all__ = ("CameraTables", "Unused", "known_as")


class Unused(StrEnum):
    """Reason for which a listed camera is left alone, as a clause without its subject."""

    DISABLED = "is disabled by its settings"
    USB = "is a USB camera, which v4l2_tier serves"


def known_as(camera: ListedCamera) -> tuple[str, ...]:
    """Return the texts that `match` is compared with."""
    return tuple(dict.fromkeys(text for text in (camera.id, camera.model) if text))


class CameraTables:
    """Tables `[[plugins.libcamera_source.cameras]]`; it remembers which have been used."""

    def __init__(self, settings: LibcameraSettings) -> None:
        self._tables = MatchedTables(settings.cameras)
        self._usb = settings.usb

    def of(self, camera: ListedCamera) -> CameraSettings | None:
        """Return the first table whose `match` is the camera's id or model, literally or as a pattern; or None."""
        return self._tables.of(known_as(camera))

    def why_unused(self, camera: ListedCamera) -> Unused | None:
        """Return why the settings leave the camera alone; None if they use it."""
        table = self.of(camera)
        if table is not None and not table.enabled:
            return Unused.DISABLED
        if camera.is_usb and table is None and not self._usb:
            return Unused.USB
        return None

    @property
    def unused(self) -> tuple[str, ...]:
        """`match` of each table that has fitted no camera so far."""
        return self._tables.unused
