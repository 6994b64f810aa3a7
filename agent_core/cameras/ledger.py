"""Ledger of cameras: the id of each fingerprint, in one small file that survives restarts."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_core.base.clock import Clock
from agent_core.base.errors import StateCorrupt, StorageFailed
from agent_core.base.files import StateFile
from agent_core.base.models import CAMERA_ID, CameraId, Fingerprint
from agent_core.base.state_saver import StateSaver
from agent_core.cameras.identity import Known

__all__ = ("Ledger",)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(pattern=f"^{CAMERA_ID.pattern}$")  # the file may have been edited by hand
    name: str
    source: str
    serial: str | None = None
    port: str | None = None
    descriptor: str | None = None
    removed: bool = False


class _Ledger(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    cameras: tuple[_Entry, ...] = ()


class Ledger:
    """All cameras ever seen. Changes take effect in memory at once; `keep_saved` writes them.

    Args:
        path: the file.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(self, path: Path, *, require: Callable[[], None] = lambda: None) -> None:
        self._file = StateFile(path, _Ledger, require=require)
        self._saver = StateSaver(self._file, self._stored)
        self._known: dict[CameraId, Known] = {}

    def load(self) -> StateCorrupt | None:
        """Read the file (blocking), as far as it is valid; return its fault, if any."""
        stored, problem = self._file.load()
        for entry in stored.cameras if stored else ():
            fingerprint = Fingerprint(entry.source, entry.serial, entry.port, entry.descriptor)
            self._known[CameraId(entry.id)] = Known(
                CameraId(entry.id), fingerprint, entry.name, entry.removed
            )
        return problem

    @property
    def known(self) -> tuple[Known, ...]:
        return tuple(self._known.values())

    def has(self, camera: CameraId) -> bool:
        """Return True if the ledger knows the camera."""
        return camera in self._known

    @property
    def problem(self) -> StorageFailed | None:
        """Error of the last write; None after a successful one."""
        return self._saver.problem

    def remember(self, known: Known) -> None:
        """Store a new camera, or the changes of a known one.

        Forgets an earlier id of the same camera: the operator has chosen another one for it.
        """
        former = [each.id for each in self._known.values() if _is_former(each, known)]
        for each in former:
            del self._known[each]
        if former or self._known.get(known.id) != known:
            if known.removed:
                self._known.pop(known.id, None)  # the removed ones stand in the order of their removal
            self._known[known.id] = known
            self._saver.changed()

    def forget(self, camera: CameraId) -> None:
        """Forget a removed camera; its id may be given to another one."""
        if self._known.pop(camera, None) is not None:
            self._saver.changed()

    async def keep_saved(self, clock: Clock) -> None:
        """Write the file after each change until cancelled, and the last changes then; `clock` times the attempts."""
        await self._saver.run(clock)

    def _stored(self) -> _Ledger:
        entries = (
            _Entry(id=each.id, name=each.name, removed=each.removed, **_fields(each.fingerprint))
            for each in self._known.values()
        )
        return _Ledger(cameras=tuple(entries))


def _is_former(other: Known, known: Known) -> bool:
    same = other.fingerprint == known.fingerprint and None not in (
        known.fingerprint.serial,
        known.fingerprint.port,
    )
    return same and other.id != known.id


def _fields(fingerprint: Fingerprint) -> dict[str, str | None]:
    return {
        "source": fingerprint.source,
        "serial": fingerprint.serial,
        "port": fingerprint.port,
        "descriptor": fingerprint.descriptor,
    }
