"""Whole pictures from the buffers of a camera that sends JPEGs."""

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType

from agent_core.plugin import WorkerPool, jpeg
from agent_core.plugin.jpeg import Repair
from v4l2_tier.settings import JpegCheck

__all__ = ("JpegReader", "is_complete")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Least bits of compressed data for a block of 64 samples: one for its first coefficient, one for the end of the block.
_LEAST_BITS_PER_BLOCK = 2
#: Most pixels to decode, as a bound of memory; Pillow's limit for one picture.
_MOST_PIXELS = 178_956_970
#: libjpeg's warning JWRN_EXTRANEOUS_DATA, for restart markers.
_STRAYS_IN_SCAN = re.compile("extraneous bytes before marker 0xd[0-7]")
#: What the log says of repairs. Missing Huffman tables are usual.
_REPAIRS: Mapping[Repair, str] = MappingProxyType(
    {
        Repair.LEADING: "other bytes come before its pictures; they are left out",
        Repair.STRAYS: "stray bytes lie between the header segments of its pictures; they are left out",
        Repair.END: "its pictures have no end marker; those that are whole get one",
        Repair.TAIL: "other data follow its pictures; they are cut off",
    }
)


def is_complete(data: bytes) -> bool:
    """Return True if a well-formed JPEG has data for all of its picture; call in a worker thread.

    libjpeg-turbo decodes it at an eighth of its size and warns of missing data. Any other first warning also counts
    against the picture, because it hides later ones; but common cameras put stray bytes before restart markers, and
    these may be counted instead.
    """
    import simplejpeg

    try:
        info = jpeg.inspect(data)
        if info.width * info.height > min(_MOST_PIXELS, len(data) * 8 * 64 // _LEAST_BITS_PER_BLOCK):
            return False
        simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return bool(_STRAYS_IN_SCAN.search(str(error))) and jpeg.has_all_restarts(data)
    return True


class JpegReader:
    """Reader of the buffers of one camera. Each kind of repair is logged once.

    Decoding costs a millisecond or more, so only pictures without an end marker are decoded, or all if configured.

    Args:
        threads: runs the decoder.
        check: which pictures are decoded to find out whether they are whole.
        name: name of the camera for the log.
    """

    def __init__(self, threads: WorkerPool, check: JpegCheck = "ends", name: str = "camera") -> None:
        self._threads = threads
        self._check = check
        self.name = name
        self._told: set[Repair] = set()

    async def read(self, data: bytes) -> jpeg.WholeJpeg:
        """Return the whole picture in `data`.

        Raises:
            JpegError: there is none.
        """
        whole = await self._whole(data)
        for repair in whole.repairs:
            if repair in _REPAIRS and repair not in self._told:
                self._told.add(repair)
                _log.info("%s: %s", self.name, _REPAIRS[repair])
        return whole

    async def _whole(self, data: bytes) -> jpeg.WholeJpeg:
        try:
            whole = jpeg.mend(data)
        except jpeg.JpegError:
            if self._check == "off":
                return jpeg.mend(data, lambda _: True)
            return await self._threads.run(jpeg.mend, data, is_complete)
        if self._check == "all" and not await self._threads.run(is_complete, whole.data):
            raise jpeg.JpegError("its picture data is damaged")
        return whole
