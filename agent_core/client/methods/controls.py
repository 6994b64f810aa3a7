"""Methods about controls.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.controls import ControlsSet

__all__ = ("ControlsMethods", "SyncControlsMethods")


class ControlsMethods(Invokes):
    async def set_camera_controls(
        self,
        device: str,
        *,
        controls: Mapping[str, bool | int | float | str] | None = None,
        reset: bool | None = None,
    ) -> "ControlsSet":
        """Set image controls of a camera, read them back, and keep the values over replugs and restarts.

        Args:
            device: id of a camera, such as camera0
            controls: values by name, as in get_camera_capabilities; a menu entry by number or label; default {}
            reset: first set the defaults of all controls, and forget what is kept; default False
        """
        from agent_core.client.results.controls import ControlsSet

        return await self._invoke(
            ControlsSet, "set_camera_controls", given(device=device, controls=controls, reset=reset)
        )


class SyncControlsMethods(InvokesInThread):
    def set_camera_controls(
        self,
        device: str,
        *,
        controls: Mapping[str, bool | int | float | str] | None = None,
        reset: bool | None = None,
    ) -> "ControlsSet":
        """Set image controls of a camera, read them back, and keep the values over replugs and restarts.

        Args:
            device: id of a camera, such as camera0
            controls: values by name, as in get_camera_capabilities; a menu entry by number or label; default {}
            reset: first set the defaults of all controls, and forget what is kept; default False
        """
        from agent_core.client.results.controls import ControlsSet

        return self._invoke(
            ControlsSet, "set_camera_controls", given(device=device, controls=controls, reset=reset)
        )
