"""Methods about cameras.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.cameras import CameraCapabilities, CameraList, CameraStatusForm

__all__ = ("CamerasMethods", "SyncCamerasMethods")


class CamerasMethods(Invokes):
    async def get_camera_list(self) -> "CameraList":
        """List all cameras, including disconnected ones."""
        from agent_core.client.results.cameras import CameraList

        return await self._invoke(CameraList, "get_camera_list", {})

    async def get_camera_status(self, device: str) -> "CameraStatusForm":
        """Return one camera with its metrics.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.cameras import CameraStatusForm

        return await self._invoke(CameraStatusForm, "get_camera_status", given(device=device))

    async def get_camera_capabilities(self, device: str) -> "CameraCapabilities":
        """Return the formats, modes and controls of a camera.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.cameras import CameraCapabilities

        return await self._invoke(CameraCapabilities, "get_camera_capabilities", given(device=device))


class SyncCamerasMethods(InvokesInThread):
    def get_camera_list(self) -> "CameraList":
        """List all cameras, including disconnected ones."""
        from agent_core.client.results.cameras import CameraList

        return self._invoke(CameraList, "get_camera_list", {})

    def get_camera_status(self, device: str) -> "CameraStatusForm":
        """Return one camera with its metrics.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.cameras import CameraStatusForm

        return self._invoke(CameraStatusForm, "get_camera_status", given(device=device))

    def get_camera_capabilities(self, device: str) -> "CameraCapabilities":
        """Return the formats, modes and controls of a camera.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.cameras import CameraCapabilities

        return self._invoke(CameraCapabilities, "get_camera_capabilities", given(device=device))
