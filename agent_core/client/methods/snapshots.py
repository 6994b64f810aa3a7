"""Methods about snapshots.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING, Literal

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.shared import Deleted
    from agent_core.client.results.snapshots import FileList, SnapshotForm, SnapshotInfo

__all__ = ("SnapshotsMethods", "SyncSnapshotsMethods")


class SnapshotsMethods(Invokes):
    async def list_snapshots(
        self, *, limit: int | None = None, offset: int | None = None, device: str | None = None
    ) -> "FileList":
        """List the stored snapshots, newest first.

        Args:
            limit: default 50
            offset: default 0
            device: list only files of this camera, such as camera0
        """
        from agent_core.client.results.snapshots import FileList

        return await self._invoke(
            FileList, "list_snapshots", given(limit=limit, offset=offset, device=device)
        )

    async def get_snapshot_info(self, filename: str) -> "SnapshotInfo":
        """Return one stored snapshot.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.snapshots import SnapshotInfo

        return await self._invoke(SnapshotInfo, "get_snapshot_info", given(filename=filename))

    async def delete_snapshot(self, filename: str) -> "Deleted":
        """Delete a stored snapshot.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.shared import Deleted

        return await self._invoke(Deleted, "delete_snapshot", given(filename=filename))

    async def take_snapshot(
        self,
        device: str,
        *,
        filename: str | None = None,
        format: Literal["jpg", "png"] | None = None,
        quality: int | None = None,
        width: int | None = None,
        height: int | None = None,
        max_age_ms: int | None = None,
        deadline_ms: int | None = None,
    ) -> "SnapshotForm":
        """Take a picture with the fastest tier that works at the moment.

        Args:
            device: id of a camera, such as camera0
            filename: default: made from camera and time
            format: default 'jpg'
            quality: JPEG quality; by default the camera's JPEG is kept unchanged
            width: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            height: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            max_age_ms: largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms
            deadline_ms: time limit of the call; default: snapshots.deadline_ms
        """
        from agent_core.client.results.snapshots import SnapshotForm

        return await self._invoke(
            SnapshotForm,
            "take_snapshot",
            given(
                device=device,
                filename=filename,
                format=format,
                quality=quality,
                width=width,
                height=height,
                max_age_ms=max_age_ms,
                deadline_ms=deadline_ms,
            ),
        )


class SyncSnapshotsMethods(InvokesInThread):
    def list_snapshots(
        self, *, limit: int | None = None, offset: int | None = None, device: str | None = None
    ) -> "FileList":
        """List the stored snapshots, newest first.

        Args:
            limit: default 50
            offset: default 0
            device: list only files of this camera, such as camera0
        """
        from agent_core.client.results.snapshots import FileList

        return self._invoke(FileList, "list_snapshots", given(limit=limit, offset=offset, device=device))

    def get_snapshot_info(self, filename: str) -> "SnapshotInfo":
        """Return one stored snapshot.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.snapshots import SnapshotInfo

        return self._invoke(SnapshotInfo, "get_snapshot_info", given(filename=filename))

    def delete_snapshot(self, filename: str) -> "Deleted":
        """Delete a stored snapshot.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.shared import Deleted

        return self._invoke(Deleted, "delete_snapshot", given(filename=filename))

    def take_snapshot(
        self,
        device: str,
        *,
        filename: str | None = None,
        format: Literal["jpg", "png"] | None = None,
        quality: int | None = None,
        width: int | None = None,
        height: int | None = None,
        max_age_ms: int | None = None,
        deadline_ms: int | None = None,
    ) -> "SnapshotForm":
        """Take a picture with the fastest tier that works at the moment.

        Args:
            device: id of a camera, such as camera0
            filename: default: made from camera and time
            format: default 'jpg'
            quality: JPEG quality; by default the camera's JPEG is kept unchanged
            width: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            height: pixels; width or height alone keeps the aspect ratio; pictures are never enlarged
            max_age_ms: largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms
            deadline_ms: time limit of the call; default: snapshots.deadline_ms
        """
        from agent_core.client.results.snapshots import SnapshotForm

        return self._invoke(
            SnapshotForm,
            "take_snapshot",
            given(
                device=device,
                filename=filename,
                format=format,
                quality=quality,
                width=width,
                height=height,
                max_age_ms=max_age_ms,
                deadline_ms=deadline_ms,
            ),
        )
