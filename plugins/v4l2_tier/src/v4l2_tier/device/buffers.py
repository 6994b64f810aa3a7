"""Buffers of a stream, which the driver fills: requested, mapped into memory, taken and given back."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from v4l2_tier.device.calls import DriverCall
from v4l2_tier.device.planarity import Planarity
from v4l2_tier.device.raw_formats import RAW_FORMATS, RawLayout

if TYPE_CHECKING:
    import ctypes

    from linuxpy.video import raw

__all__ = ("FilledBuffer", "MapMemory", "StreamBuffers", "mapped_from")

#: Mapper of a buffer's memory, by its length and its offset in the device.
MapMemory = Callable[[int, int], mmap.mmap]
#: V4L2_MEMORY_MMAP.
_MMAP = 1
#: VIDEO_MAX_PLANES.
_MOST_PLANES = 8


@dataclass(frozen=True, slots=True)
class FilledBuffer:
    """Buffer filled by the driver; the caller owns it until `give_back`.

    `stamp_s` is the driver's time stamp; `flags` and `sequence` are the fields of `v4l2_buffer`. `pieces` are the places
    of the frame in the buffer's planes of memory, first and after the last byte; empty for one that starts at its beginning.
    """

    index: int
    size_bytes: int
    flags: int
    sequence: int
    stamp_s: float
    pieces: tuple[tuple[int, int], ...] = ()


def mapped_from(descriptor: int) -> MapMemory:
    """Return the mapper of an open device's memory."""

    def map_memory(length: int, offset: int) -> mmap.mmap:
        return mmap.mmap(
            descriptor, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE, offset=offset
        )

    return map_memory


class StreamBuffers:
    """Buffers of one device; `close` unmaps them. All calls raise OSError if the driver refuses them or the device is gone.

    Args:
        call: the device's driver.
        planarity: the driver's interface.
        map_memory: maps a buffer's memory.
    """

    def __init__(self, call: DriverCall, planarity: Planarity, map_memory: MapMemory) -> None:
        self._call = call
        self._planarity = planarity
        self._map_memory = map_memory
        self._maps: list[tuple[mmap.mmap, ...]] = []
        self._sizes: tuple[int, ...] = ()

    def request(self, count: int, layout: RawLayout) -> None:
        """Request and map buffers for frames of `layout`; the driver may grant more or fewer. All are the caller's."""
        from linuxpy.video import raw

        is_separate = layout.code in RAW_FORMATS and layout.format.separate
        self._sizes = tuple(plane.size_bytes for plane in layout.planes) if is_separate else ()
        request = raw.v4l2_requestbuffers(count=count, type=self._planarity.value, memory=_MMAP)
        self._call(raw.IOC.REQBUFS, request)
        if not request.count:
            raise OSError("the driver granted no buffer")
        for index in range(request.count):
            self._maps.append(())  # requested, although not mapped yet
            buffer = self._buffer(index)
            self._call(raw.IOC.QUERYBUF, buffer)
            self._maps[index] = tuple(
                self._map_memory(length, offset) for length, offset in self._memory(buffer)
            )

    def __len__(self) -> int:
        return len(self._maps)

    def start(self) -> None:
        from linuxpy.video import raw

        self._call(raw.IOC.STREAMON, self._type())

    def stop(self) -> None:
        from linuxpy.video import raw

        self._call(raw.IOC.STREAMOFF, self._type())

    def free(self) -> None:
        """Free the buffers in the driver, after `close`."""
        from linuxpy.video import raw

        self._call(raw.IOC.REQBUFS, raw.v4l2_requestbuffers(type=self._planarity.value, memory=_MMAP))

    def close(self) -> None:
        """Unmap the memory; a second call has no effect."""
        while self._maps:
            for each in self._maps.pop():
                each.close()

    def take(self) -> FilledBuffer:
        """Return the next filled buffer.

        Raises:
            BlockingIOError: none is ready.
        """
        from linuxpy.video import raw

        buffer = self._buffer(0)
        self._call(raw.IOC.DQBUF, buffer)
        stamp_s = buffer.timestamp.secs + buffer.timestamp.usecs / 1e6
        pieces = tuple(self._pieces(buffer)) if self._planarity is Planarity.MULTI else ()
        size_bytes = sum(end - start for start, end in pieces) if pieces else buffer.bytesused
        return FilledBuffer(buffer.index, size_bytes, buffer.flags, buffer.sequence, stamp_s, pieces)

    def _pieces(self, buffer: "raw.v4l2_buffer") -> "list[tuple[int, int]]":
        """Return the part of each plane that belongs to the frame: `bytesused` counts what is before `data_offset`, too."""
        pieces: list[tuple[int, int]] = []
        for number, memory in enumerate(self._maps[buffer.index]):
            plane = buffer.m.planes[number]
            start, end = plane.data_offset, min(plane.bytesused, len(memory))
            if number < len(self._sizes):
                end = min(end, start + self._sizes[number])
            pieces.append((start, max(start, end)))
        return pieces

    def copy(self, buffer: FilledBuffer) -> bytes:
        """Return a copy of the frame in `buffer`, its planes one after the other."""
        memory = self._maps[buffer.index]
        if not buffer.pieces:
            return memory[0][: buffer.size_bytes]
        copied = [each[start:end] for each, (start, end) in zip(memory, buffer.pieces, strict=True)]
        return copied[0] if len(copied) == 1 else b"".join(copied)

    def give_back(self, index: int) -> None:
        """Return the buffer to the driver."""
        from linuxpy.video import raw

        self._call(raw.IOC.QBUF, self._buffer(index))

    def _type(self) -> "ctypes.c_uint":
        import ctypes

        return ctypes.c_uint(self._planarity.value)

    def _buffer(self, index: int) -> "raw.v4l2_buffer":
        from linuxpy.video import raw

        buffer = raw.v4l2_buffer(index=index, type=self._planarity.value, memory=_MMAP)
        if self._planarity is Planarity.MULTI:
            known = len(self._maps[index]) if index < len(self._maps) else 0
            buffer.m.planes = (raw.v4l2_plane * _MOST_PLANES)()  # which the structure keeps alive
            buffer.length = known or _MOST_PLANES
        return buffer

    def _memory(self, buffer: "raw.v4l2_buffer") -> "list[tuple[int, int]]":
        """Return the length and the offset of each plane of memory."""
        if self._planarity is Planarity.SINGLE:
            return [(buffer.length, buffer.m.offset)]
        planes = [buffer.m.planes[number] for number in range(buffer.length)]
        return [(plane.length, plane.m.mem_offset) for plane in planes]
