"""Methods about recordings.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING, Literal

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.recordings import (
        RecordingFileList,
        RecordingInfo,
        RecordingStarted,
        RecordingStopped,
    )
    from agent_core.client.results.shared import Deleted

__all__ = ("RecordingsMethods", "SyncRecordingsMethods")


class RecordingsMethods(Invokes):
    async def start_recording(
        self,
        device: str,
        *,
        duration: int | None = None,
        format: Literal["fmp4", "mpegts", "mp4"] | None = None,
        wait: bool | None = None,
    ) -> "RecordingStarted":
        """Start recording a camera.

        Args:
            device: id of a camera, such as camera0
            duration: length in seconds, from the first picture
            format: default: fmp4, or mpegts for a camera with KLV data, which fmp4 cannot hold; mp4 is another name for fmp4
            wait: true: answer only when bytes are on disk; default False
        """
        from agent_core.client.results.recordings import RecordingStarted

        return await self._invoke(
            RecordingStarted,
            "start_recording",
            given(device=device, duration=duration, format=format, wait=wait),
        )

    async def stop_recording(self, device: str) -> "RecordingStopped":
        """Stop recording a camera.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.recordings import RecordingStopped

        return await self._invoke(RecordingStopped, "stop_recording", given(device=device))

    async def list_recordings(
        self, *, limit: int | None = None, offset: int | None = None, device: str | None = None
    ) -> "RecordingFileList":
        """List the stored recordings, newest first.

        Args:
            limit: default 50
            offset: default 0
            device: list only files of this camera, such as camera0
        """
        from agent_core.client.results.recordings import RecordingFileList

        return await self._invoke(
            RecordingFileList, "list_recordings", given(limit=limit, offset=offset, device=device)
        )

    async def get_recording_info(self, filename: str) -> "RecordingInfo":
        """Return one stored recording with its segments.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.recordings import RecordingInfo

        return await self._invoke(RecordingInfo, "get_recording_info", given(filename=filename))

    async def delete_recording(self, filename: str) -> "Deleted":
        """Delete a recording that has ended, with all its files.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.shared import Deleted

        return await self._invoke(Deleted, "delete_recording", given(filename=filename))


class SyncRecordingsMethods(InvokesInThread):
    def start_recording(
        self,
        device: str,
        *,
        duration: int | None = None,
        format: Literal["fmp4", "mpegts", "mp4"] | None = None,
        wait: bool | None = None,
    ) -> "RecordingStarted":
        """Start recording a camera.

        Args:
            device: id of a camera, such as camera0
            duration: length in seconds, from the first picture
            format: default: fmp4, or mpegts for a camera with KLV data, which fmp4 cannot hold; mp4 is another name for fmp4
            wait: true: answer only when bytes are on disk; default False
        """
        from agent_core.client.results.recordings import RecordingStarted

        return self._invoke(
            RecordingStarted,
            "start_recording",
            given(device=device, duration=duration, format=format, wait=wait),
        )

    def stop_recording(self, device: str) -> "RecordingStopped":
        """Stop recording a camera.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.recordings import RecordingStopped

        return self._invoke(RecordingStopped, "stop_recording", given(device=device))

    def list_recordings(
        self, *, limit: int | None = None, offset: int | None = None, device: str | None = None
    ) -> "RecordingFileList":
        """List the stored recordings, newest first.

        Args:
            limit: default 50
            offset: default 0
            device: list only files of this camera, such as camera0
        """
        from agent_core.client.results.recordings import RecordingFileList

        return self._invoke(
            RecordingFileList, "list_recordings", given(limit=limit, offset=offset, device=device)
        )

    def get_recording_info(self, filename: str) -> "RecordingInfo":
        """Return one stored recording with its segments.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.recordings import RecordingInfo

        return self._invoke(RecordingInfo, "get_recording_info", given(filename=filename))

    def delete_recording(self, filename: str) -> "Deleted":
        """Delete a recording that has ended, with all its files.

        Args:
            filename: name, as returned by the list method
        """
        from agent_core.client.results.shared import Deleted

        return self._invoke(Deleted, "delete_recording", given(filename=filename))
