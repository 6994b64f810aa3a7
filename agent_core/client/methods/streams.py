"""Methods about streams.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.streams import (
        StreamEntry,
        StreamStarted,
        StreamStatusForm,
        StreamStopped,
        StreamUrlForm,
    )

__all__ = ("StreamsMethods", "SyncStreamsMethods")


class StreamsMethods(Invokes):
    async def start_streaming(self, device: str) -> "StreamStarted":
        """Keep a stream live for this connection.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStarted

        return await self._invoke(StreamStarted, "start_streaming", given(device=device))

    async def stop_streaming(self, device: str) -> "StreamStopped":
        """End this connection's hold on a stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStopped

        return await self._invoke(StreamStopped, "stop_streaming", given(device=device))

    async def get_stream_url(self, device: str) -> "StreamUrlForm":
        """Return the URL of a camera's stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamUrlForm

        return await self._invoke(StreamUrlForm, "get_stream_url", given(device=device))

    async def get_stream_status(self, device: str) -> "StreamStatusForm":
        """Return the status of a camera's stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStatusForm

        return await self._invoke(StreamStatusForm, "get_stream_status", given(device=device))

    async def get_streams(self) -> "list[StreamEntry]":
        """List all streams of the media server."""
        from agent_core.client.results.streams import StreamEntry

        return await self._invoke(list[StreamEntry], "get_streams", {})


class SyncStreamsMethods(InvokesInThread):
    def start_streaming(self, device: str) -> "StreamStarted":
        """Keep a stream live for this connection.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStarted

        return self._invoke(StreamStarted, "start_streaming", given(device=device))

    def stop_streaming(self, device: str) -> "StreamStopped":
        """End this connection's hold on a stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStopped

        return self._invoke(StreamStopped, "stop_streaming", given(device=device))

    def get_stream_url(self, device: str) -> "StreamUrlForm":
        """Return the URL of a camera's stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamUrlForm

        return self._invoke(StreamUrlForm, "get_stream_url", given(device=device))

    def get_stream_status(self, device: str) -> "StreamStatusForm":
        """Return the status of a camera's stream.

        Args:
            device: id of a camera, such as camera0
        """
        from agent_core.client.results.streams import StreamStatusForm

        return self._invoke(StreamStatusForm, "get_stream_status", given(device=device))

    def get_streams(self) -> "list[StreamEntry]":
        """List all streams of the media server."""
        from agent_core.client.results.streams import StreamEntry

        return self._invoke(list[StreamEntry], "get_streams", {})
