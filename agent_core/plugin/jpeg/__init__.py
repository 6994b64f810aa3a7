"""Checks and repairs of JPEGs without decoding: completeness, picture size, capture time and Huffman tables."""

from agent_core.plugin.jpeg.exif import with_capture_time
from agent_core.plugin.jpeg.mending import IsComplete, Repair, WholeJpeg, mend
from agent_core.plugin.jpeg.scans import has_all_restarts
from agent_core.plugin.jpeg.structure import JpegError, JpegInfo, inspect
from agent_core.plugin.jpeg.tables import with_huffman_tables

__all__ = (
    "IsComplete",
    "JpegError",
    "JpegInfo",
    "Repair",
    "WholeJpeg",
    "has_all_restarts",
    "inspect",
    "mend",
    "with_capture_time",
    "with_huffman_tables",
)
