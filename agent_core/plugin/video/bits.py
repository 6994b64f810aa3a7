"""Bits of coded video: numbers of ITU-T H.264 and H.265 (9.1, 9.2), and what guards start codes (7.4.1)."""

__all__ = ("MAX_SET_BYTES", "MAX_SIDE", "BitReader", "BitstreamError", "without_emulation")

#: Pixels; far more than level 6.2 allows.
MAX_SIDE = 32_768
#: A container has 16 bits for the length of a parameter set; typical sets have about 50 bytes.
MAX_SET_BYTES = 4096


class BitstreamError(ValueError):
    """Error for truncated or impossible bitstreams."""


class BitReader:
    """Reader of the bits of `data`, most significant first. Its cost grows with the size, so keep `data` short."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        if count > self._left:
            raise BitstreamError("A parameter set is truncated.")
        self._left -= count
        return (self._bits >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.bits(1))

    def unsigned(self) -> int:
        """Read an unsigned Exp-Golomb number, ue(v)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise BitstreamError("A parameter set contains a number of more than 32 bits.")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb number, se(v)."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)


def without_emulation(nalu: bytes) -> bytes:
    """Return the payload without the emulation prevention bytes (7.4.1)."""
    return nalu.replace(b"\x00\x00\x03", b"\x00\x00")
