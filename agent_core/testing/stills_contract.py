"""Contract of decoders of recordings, as tests that a plugin author inherits."""

import os
from abc import ABC, abstractmethod
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import AgentError, CaptureFailed, RecordingStills, StillRequest, jpeg
from agent_core.testing.contracts import children, responsive

__all__ = ("RecordingStillsContract",)

_WIDTH, _MAX_PIXELS = 160, 1 << 22
#: Reasons of failures that lie in the file.
_OF_THE_FILE = {"no_picture", "picture_damaged", "picture_too_large"}


@pytest.mark.anyio
class RecordingStillsContract(ABC):
    """Contract of `RecordingStills`: inherit it and implement `make_stills` and `recordings`.

    Attributes:
        limit_s: limit of one call.
        blocking_limit_s: longest time for which the decoder may block the event loop at once.
    """

    limit_s = 20.0
    blocking_limit_s = 1.0

    @abstractmethod
    def make_stills(self) -> RecordingStills:
        """Return a new decoder, as the plugin's hook would return it."""

    @abstractmethod
    async def recordings(self, folder: Path) -> list[Path]:
        """Write a recording in each format, larger than 64 KiB and without audio, below `folder`; return the files."""

    async def _first(self, path: Path, *, max_pixels: int = _MAX_PIXELS) -> bytes:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with anyio.fail_after(self.limit_s):
                async with responsive(self.blocking_limit_s):
                    request = StillRequest(descriptor, path.suffix, _WIDTH, max_pixels)
                    return await self.make_stills().first(request)
        finally:
            os.close(descriptor)

    async def test_the_first_picture_of_each_format_is_a_whole_jpeg(self, tmp_path: Path) -> None:
        for path in await self.recordings(tmp_path):
            data = await self._first(path)
            assert isinstance(data, bytes)
            assert jpeg.inspect(data).width > 0

    async def test_a_file_without_a_picture_is_refused(self, tmp_path: Path) -> None:
        for path in await self.recordings(tmp_path):
            whole = path.read_bytes()
            for content in (b"", whole[:188], bytes(100_000), b"G" * 100_000):
                path.write_bytes(content)
                with pytest.raises(CaptureFailed) as caught:
                    await self._first(path)
                assert caught.value.reason in _OF_THE_FILE

    async def test_a_file_that_is_still_written_or_cut_off_gives_its_first_picture_or_a_reason(
        self, tmp_path: Path
    ) -> None:
        for path in await self.recordings(tmp_path):
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) * 3 // 4])
            assert jpeg.inspect(await self._first(path)).width > 0

    async def test_too_many_pixels_are_refused(self, tmp_path: Path) -> None:
        for path in await self.recordings(tmp_path):
            with pytest.raises(CaptureFailed) as caught:
                await self._first(path, max_pixels=256)
            assert caught.value.reason == "picture_too_large"

    async def test_a_cancelled_call_leaves_no_process(self, tmp_path: Path) -> None:
        before = children()
        for path in await self.recordings(tmp_path):
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._quietly, path)
                    await anyio.sleep(0.05)  # let the call begin
                    tasks.cancel_scope.cancel()
        assert children() <= before

    async def _quietly(self, path: Path) -> None:
        try:
            await self._first(path)
        except AgentError:
            return  # a decoder may refuse at any time
