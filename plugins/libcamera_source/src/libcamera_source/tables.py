"""Choice of the settings table of a camera, and the tables that no camera has used."""

from agent_core.plugin.matching import MatchedTables
from libcamera_source.listing import ListedCamera
from libcamera_source.settings import CameraSettings, LibcameraSettings

__all__ = ("CameraTables", "known_as")


def known_as(camera: ListedCamera) -> tuple[str, ...]:
    """Return the texts that `match` is compared with."""
    return tuple(dict.fromkeys(text for text in (camera.id, camera.model) if text))


class CameraTables:
    """Tables `[[plugins.libcamera_source.cameras]]`; it remembers which have been used."""

    def __init__(self, settings: LibcameraSettings) -> None:
        self._tables = MatchedTables(settings.cameras)

    def of(self, camera: ListedCamera) -> CameraSettings | None:
        """Return the first table whose `match` is the camera's id or model, literally or as a pattern; or None."""
        return self._tables.of(known_as(camera))

    @property
    def unused(self) -> tuple[str, ...]:
        """`match` of each table that has fitted no camera so far."""
        return self._tables.unused
