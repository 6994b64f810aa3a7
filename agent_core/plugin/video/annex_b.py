"""Framing of NAL units: start codes (ITU-T H.264 and H.265, annex B), and lengths as containers have them."""

from collections.abc import Iterable, Iterator

from agent_core.plugin.video.bits import BitstreamError

__all__ = ("AnnexBReader", "annex_b", "begins_unit", "length_prefixed", "without_lengths")

_START = b"\0\0\1"
#: Start code of the first unit of a picture, and of parameter sets (B.1.2).
_LONG_START = b"\0" + _START
_LENGTH_BYTES = 4
#: Zero bytes that may precede a start code; senders write one.
_MOST_LEADING_ZEROS = 16


class AnnexBReader:
    """Reader of units from pieces of a byte stream, cut anywhere. It holds the unit that has not ended yet."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._has_begun = False

    @property
    def size_bytes(self) -> int:
        """Size of what is held."""
        return len(self._pending)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Return the units that `data` completes; bytes before the first start code are dropped."""
        looked_bytes = max(len(self._pending) - len(_START) + 1, 0)
        self._pending += data
        units, begin = [], 0
        while (found := self._pending.find(_START, looked_bytes)) >= 0:
            if self._has_begun:
                units.append(bytes(self._pending[begin:found]))
            self._has_begun = True
            begin = looked_bytes = found + len(_START)
        if not self._has_begun:
            begin = max(len(self._pending) - len(_START) + 1, 0)
        del self._pending[:begin]
        return (unit for each in units if (unit := each.rstrip(b"\0")))

    def flush(self) -> bytes:
        """Return the unit that is held, as it is; empty if there is none."""
        unit = bytes(self._pending).rstrip(b"\0") if self._has_begun else b""
        self._pending.clear()
        self._has_begun = False
        return unit


def begins_unit(data: bytes) -> bool:
    """Return True if `data` begins with a start code."""
    head = data[: _MOST_LEADING_ZEROS + len(_START)]
    return head.lstrip(b"\0")[:1] == b"\1" and head.startswith(_START[:2])


def annex_b(units: Iterable[bytes]) -> bytes:
    """Return `units` as a byte stream with start codes."""
    return b"".join(_LONG_START + unit for unit in units)


def length_prefixed(units: Iterable[bytes]) -> bytes:
    """Return `units` as a container has them, each after its length in four bytes."""
    return b"".join(len(unit).to_bytes(_LENGTH_BYTES, "big") + unit for unit in units)


def without_lengths(data: bytes) -> tuple[bytes, ...]:
    """Return the units of `data`, each of which follows its length in four bytes.

    Raises:
        BitstreamError: a length exceeds what is left.
    """
    units, at = [], 0
    while at < len(data):
        end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
        if at + _LENGTH_BYTES > len(data) or end > len(data):
            raise BitstreamError("A NAL unit is longer than its picture.")
        units.append(data[at + _LENGTH_BYTES : end])
        at = end
    return tuple(units)
