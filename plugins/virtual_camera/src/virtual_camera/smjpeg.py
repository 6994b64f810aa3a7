"""Reader of the SMJPEG container as FFmpeg writes it: JPEGs, each with a time. Without I/O.

The format is Loki's (smjpeg format description, version 0); all numbers are big-endian. After a magic word, a version
and a duration come header chunks (`_TXT`, `_VID`, `_SND`) up to `HEND`, then `vidD` chunks with a time in milliseconds,
modulo 2^32, and a JPEG.
"""

import struct

from virtual_camera.timed_picture import DamagedOutput, TimedPicture

__all__ = ("SmjpegError", "SmjpegReader")

_MAGIC = b"\0\nSMJPEG"
_HEADER_BYTES = 16
_HEADER_CHUNKS = (b"_TXT", b"_VID", b"_SND")
_DATA_CHUNKS = (b"vidD", b"sndD")
#: Longest plausible chunk, far above any JPEG of a configurable size.
_LIMIT_BYTES = 64 << 20


class SmjpegError(DamagedOutput):
    """Error for data that is not SMJPEG. The message names the fault."""


class SmjpegReader:
    """Incremental reader. After an error, each further call raises the same error."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_header = False
        self._begun = False
        self._error: SmjpegError | None = None

    def feed(self, data: bytes) -> list[TimedPicture]:
        """Take a chunk of any size and return the pictures that it completes, in order.

        Raises:
            SmjpegError: the data is damaged. Pictures completed earlier in the same chunk are lost.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        pictures: list[TimedPicture] = []
        try:
            while self._begin() if not self._begun else self._step(pictures):
                pass
        except SmjpegError as error:
            self._error = error
            raise
        return pictures

    def _begin(self) -> bool:
        if not _MAGIC.startswith(self._buffer[: len(_MAGIC)]):
            raise SmjpegError("The data does not start like SMJPEG.")
        if len(self._buffer) < _HEADER_BYTES:
            return False
        (version,) = struct.unpack_from(">I", self._buffer, len(_MAGIC))
        if version != 0:
            raise SmjpegError(f"SMJPEG version {version} is not supported.")
        del self._buffer[:_HEADER_BYTES]
        self._begun = self._in_header = True
        return True

    def _step(self, pictures: list[TimedPicture]) -> bool:
        """Take one chunk off the buffer. Return False if it is incomplete."""
        if len(self._buffer) < 4:
            return False
        tag = bytes(self._buffer[:4])
        if self._in_header and tag == b"HEND":
            self._in_header = False
            del self._buffer[:4]
            return True
        if tag == b"DONE" and not self._in_header:
            del self._buffer[:4]
            return True
        if tag not in (_HEADER_CHUNKS if self._in_header else _DATA_CHUNKS):
            raise SmjpegError("The SMJPEG has an unknown chunk.")
        return self._take(tag, 8 if self._in_header else 12, pictures)

    def _take(self, tag: bytes, header_bytes: int, pictures: list[TimedPicture]) -> bool:
        if len(self._buffer) < header_bytes:
            return False
        (size,) = struct.unpack_from(">I", self._buffer, header_bytes - 4)
        if size > _LIMIT_BYTES:
            raise SmjpegError("A chunk of the SMJPEG is impossibly large.")
        end = header_bytes + size
        if len(self._buffer) < end:
            return False
        if tag == b"vidD":
            (time_ms,) = struct.unpack_from(">I", self._buffer, 4)
            pictures.append(TimedPicture(time_ms, bytes(self._buffer[header_bytes:end])))
        del self._buffer[:end]
        return True
