"""Contract of the streams that the core lends to plugins, as tests that each implementation inherits."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.plugin import AgentError, CameraId, CameraStreams, LiveStream, NotFound
from agent_core.testing.waiting import eventually

__all__ = ("CameraStreamsContract",)

#: Limit of each wait for a stream, generous for a loaded machine.
_LIMIT_S = 30.0


@pytest.mark.anyio
class CameraStreamsContract(ABC):
    """Contract of `CameraStreams`: inherit it and implement `lent`.

    Attributes:
        camera: camera whose stream can be started and is not live at first.
        unknown: camera that does not exist.
    """

    camera = CameraId("camera0")
    unknown = CameraId("camera99")

    @abstractmethod
    def lent(self) -> AbstractAsyncContextManager[CameraStreams]:
        """Return a context that gives new streams."""

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[CameraStreams]:
        with anyio.fail_after(4 * _LIMIT_S):
            async with self.lent() as streams:
                yield streams

    async def _ends(self, streams: CameraStreams) -> None:
        async def ended() -> bool:
            return (await streams.look(self.camera)).since_s is None

        await eventually(ended, timeout_s=_LIMIT_S)

    async def test_a_look_starts_nothing(self) -> None:
        async with self._streams() as streams:
            for _ in range(3):
                assert (await streams.look(self.camera)).since_s is None
            known = streams.known(self.camera)
            assert known is None or known.since_s is None

    async def test_a_lease_makes_the_stream_live_and_its_end_lets_it_end(self) -> None:
        async with self._streams() as streams:
            called_s = SystemClock().monotonic_s()
            async with streams.lease(self.camera, "test") as leased:
                now_s = SystemClock().monotonic_s()
                assert leased.since_s is not None
                assert called_s <= leased.since_s <= now_s
                assert await streams.look(self.camera) == leased
                assert streams.known(self.camera) == leased
            await self._ends(streams)

    async def test_the_address_is_a_stream_address_without_credentials(self) -> None:
        async with self._streams() as streams:
            seen = await streams.look(self.camera)
            async with streams.lease(self.camera, "test") as leased:
                assert (leased.url, leased.credentials) == (seen.url, seen.credentials)
        assert seen.url.startswith("rtsp://")
        assert "@" not in seen.url
        if seen.credentials is not None:
            assert seen.credentials.password not in repr(seen)

    async def test_the_stream_lives_until_the_last_lease_ends_even_of_one_holder(self) -> None:
        async with self._streams() as streams:
            async with streams.lease(self.camera, "test") as first:
                async with streams.lease(self.camera, "test") as second:
                    assert second == first
                assert await streams.look(self.camera) == first
            await self._ends(streams)

    async def test_a_cancelled_lease_is_given_back(self) -> None:
        async with self._streams() as streams:
            async with anyio.create_task_group() as tg:
                leased = anyio.Event()
                tg.start_soon(self._hold, streams, leased)
                await leased.wait()
                tg.cancel_scope.cancel()
            await self._ends(streams)

    async def _hold(self, streams: CameraStreams, leased: anyio.Event) -> None:
        async with streams.lease(self.camera, "test"):
            leased.set()
            await anyio.sleep_forever()

    async def test_a_lease_that_is_left_open_ends_with_its_task(self) -> None:
        left: list[AbstractAsyncContextManager[LiveStream]] = []

        async def leave(streams: CameraStreams) -> None:
            left.append(streams.lease(self.camera, "test"))
            await left[0].__aenter__()

        async with self._streams() as streams:
            async with anyio.create_task_group() as tg:
                tg.start_soon(leave, streams)
            await self._ends(streams)
            await left[0].__aexit__(None, None, None)

    async def test_an_unknown_camera_has_no_stream(self) -> None:
        async with self._streams() as streams:
            assert streams.known(self.unknown) is None
            with pytest.raises(NotFound):
                await streams.look(self.unknown)
            with pytest.raises(NotFound):
                async with streams.lease(self.unknown, "test"):
                    raise AssertionError("a stream of a camera that does not exist")

    async def test_the_users_do_not_include_the_leases_of_the_plugin(self) -> None:
        async with self._streams() as streams:
            assert not await streams.has_other_users(self.camera)
            async with streams.lease(self.camera, "test"):
                assert not await streams.has_other_users(self.camera)
            with pytest.raises(NotFound):
                await streams.has_other_users(self.unknown)

    async def test_a_reader_is_counted_while_its_context_is_open(self) -> None:
        async with self._streams() as streams:
            with streams.reading(self.camera), streams.reading(self.camera):
                pass
            with pytest.raises(AgentError), streams.reading(self.camera):
                await streams.look(self.unknown)
