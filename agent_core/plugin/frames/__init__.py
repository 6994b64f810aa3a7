"""Shared access to one camera: a broker runs one producer on demand and gives its frames to all readers."""

from agent_core.plugin.frames.broker import FrameBroker
from agent_core.plugin.frames.groups import CodedFrame
from agent_core.plugin.frames.problem_reports import report_problems
from agent_core.plugin.frames.producer import (
    BrokerSettings,
    BrokerState,
    BrokerStats,
    FrameProducer,
    FrameSink,
    as_capture_failed,
)
from agent_core.plugin.frames.server import FrameServer
from agent_core.plugin.frames.settling import Brightness, ExposureSettling, measure

__all__ = (
    "Brightness",
    "BrokerSettings",
    "BrokerState",
    "BrokerStats",
    "CodedFrame",
    "ExposureSettling",
    "FrameBroker",
    "FrameProducer",
    "FrameServer",
    "FrameSink",
    "as_capture_failed",
    "measure",
    "report_problems",
)
