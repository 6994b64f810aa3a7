"""Methods about pictures.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING, Literal

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.pictures import PictureForm

__all__ = ("PicturesMethods", "SyncPicturesMethods")


class PicturesMethods(Invokes):
    async def get_picture(
        self,
        device: str,
        *,
        format: Literal["jpg", "png"] | None = None,
        quality: int | None = None,
        width: int | None = None,
        height: int | None = None,
        max_age_ms: int | None = None,
        deadline_ms: int | None = None,
        max_bytes: int | None = None,
    ) -> "PictureForm":
        """Take a picture and return it, without storing it.

        Args:
            device: id of a camera, such as camera0
            format: default 'jpg'
            quality: JPEG quality; by default the camera's JPEG is kept unchanged
            width: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            height: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            max_age_ms: largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms
            deadline_ms: time limit of the call; default: snapshots.deadline_ms
            max_bytes: largest picture, before base64; the error for a larger one proposes a width; default 700000
        """
        from agent_core.client.results.pictures import PictureForm

        return await self._invoke(
            PictureForm,
            "get_picture",
            given(
                device=device,
                format=format,
                quality=quality,
                width=width,
                height=height,
                max_age_ms=max_age_ms,
                deadline_ms=deadline_ms,
                max_bytes=max_bytes,
            ),
        )


class SyncPicturesMethods(InvokesInThread):
    def get_picture(
        self,
        device: str,
        *,
        format: Literal["jpg", "png"] | None = None,
        quality: int | None = None,
        width: int | None = None,
        height: int | None = None,
        max_age_ms: int | None = None,
        deadline_ms: int | None = None,
        max_bytes: int | None = None,
    ) -> "PictureForm":
        """Take a picture and return it, without storing it.

        Args:
            device: id of a camera, such as camera0
            format: default 'jpg'
            quality: JPEG quality; by default the camera's JPEG is kept unchanged
            width: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            height: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            max_age_ms: largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms
            deadline_ms: time limit of the call; default: snapshots.deadline_ms
            max_bytes: largest picture, before base64; the error for a larger one proposes a width; default 700000
        """
        from agent_core.client.results.pictures import PictureForm

        return self._invoke(
            PictureForm,
            "get_picture",
            given(
                device=device,
                format=format,
                quality=quality,
                width=width,
                height=height,
                max_age_ms=max_age_ms,
                deadline_ms=deadline_ms,
                max_bytes=max_bytes,
            ),
        )
