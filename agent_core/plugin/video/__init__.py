"""Bitstreams of H.264 and H.265 without decoding: NAL units, key frames, parameter sets and picture sizes."""

from agent_core.plugin.video import h264, h265, nal
from agent_core.plugin.video.access_units import AccessUnit, AccessUnits
from agent_core.plugin.video.annex_b import (
    AnnexBReader,
    annex_b,
    begins_unit,
    length_prefixed,
    without_lengths,
)
from agent_core.plugin.video.bits import MAX_SET_BYTES, BitReader, BitstreamError
from agent_core.plugin.video.configuration import Configuration, configuration
from agent_core.plugin.video.entry import is_entry
from agent_core.plugin.video.parameter_sets import ParameterSets

__all__ = (
    "MAX_SET_BYTES",
    "AccessUnit",
    "AccessUnits",
    "AnnexBReader",
    "BitReader",
    "BitstreamError",
    "Configuration",
    "ParameterSets",
    "annex_b",
    "begins_unit",
    "configuration",
    "h264",
    "h265",
    "is_entry",
    "length_prefixed",
    "nal",
    "without_lengths",
)
