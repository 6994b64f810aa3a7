"""Control values that clients have set, kept for each camera in one small file that survives restarts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.base.clock import Clock
from agent_core.base.containment import contained, describe
from agent_core.base.controls import ControlPanel, ControlValue
from agent_core.base.errors import AgentError, PluginError, StateCorrupt, StorageFailed
from agent_core.base.files import StateFile
from agent_core.base.models import CameraId
from agent_core.base.state_saver import StateSaver

__all__ = ("KeptControls",)

_NOTHING: Mapping[str, ControlValue] = MappingProxyType({})
#: Longest wait of a client for the disk: the values are set already, and the answer says if they are stored.
_STORE_S = 5.0


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    version: Literal[1] = 1
    cameras: dict[str, dict[str, bool | int | float | str]] = {}


class KeptControls:
    """Kept values by camera, given to the panel of each camera that is reported.

    Changes take effect in memory at once; `keep_saved` writes them.

    Args:
        path: the file.
        is_known: returns True if the ledger has the camera. The values of others are dropped: their ids are for new ones.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        is_known: Callable[[CameraId], bool] = lambda _: True,
        require: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = StateFile(path, _Stored, require=require)
        self._saver = StateSaver(self._file, self._stored)
        self._is_known = is_known
        self._values: dict[CameraId, Mapping[str, ControlValue]] = {}
        self._changing: dict[CameraId, ControlPanel] = {}

    def load(self) -> StateCorrupt | None:
        """Read the file (blocking), as far as it is valid; return its fault, if any."""
        stored, problem = self._file.load()
        for camera, values in stored.cameras.items() if stored else ():
            if self._is_known(CameraId(camera)):
                self._values[CameraId(camera)] = MappingProxyType(values)
        return problem

    @property
    def problem(self) -> StorageFailed | None:
        """Error of the last write; None after a successful one."""
        return self._saver.problem

    def of(self, camera: CameraId) -> Mapping[str, ControlValue]:
        """Return the kept values of a camera by the names of its controls."""
        return self._values.get(camera, _NOTHING)

    def put(self, camera: CameraId, values: Mapping[str, ControlValue]) -> None:
        """Keep `values`, and nothing else, for the camera."""
        if dict(values) == dict(self.of(camera)):
            return
        self._values.pop(camera, None)
        if values:
            self._values[camera] = MappingProxyType(dict(values))
        self._saver.changed()

    def give(self, camera: CameraId, panel: ControlPanel) -> None:
        """Give a camera's kept values to its panel, unless a change is under way there, which ends with that.

        Raises:
            PluginError: the panel, which is foreign code, failed.
        """
        if self._changing.get(camera) is panel:
            return
        try:
            with contained(f"The control panel of {camera}"):
                panel.keep(self.of(camera))
        except AgentError:
            raise
        except Exception as error:
            raise PluginError(
                f"The control panel of {camera} did not take its kept values: {describe(error)}.",
                reason="provider_raised",
            ) from error

    @contextmanager
    def changing(self, camera: CameraId, panel: ControlPanel) -> Iterator[None]:
        """Let no one give `panel` the former values while its controls are changed; give it the new ones then."""
        self._changing[camera] = panel
        try:
            yield
        finally:
            del self._changing[camera]
            self.give(camera, panel)

    async def wait_saved(self) -> bool:
        """Wait up to 5 s until the last change is stored; return False if it is not."""
        return await self._saver.wait_stored(_STORE_S)

    async def keep_saved(self, clock: Clock) -> None:
        """Write the file after each change until cancelled, and the last changes then; `clock` times the attempts."""
        await self._saver.run(clock)

    def _stored(self) -> _Stored:
        known = {str(camera): dict(each) for camera, each in self._values.items() if self._is_known(camera)}
        return _Stored(cameras=known)
