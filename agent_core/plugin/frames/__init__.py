"""One owner per camera device: the broker runs one producer on demand and hands its frames to everybody."""

from agent_core.plugin.frames.broker import (
    BrokerSettings,
    BrokerState,
    BrokerStats,
    FrameBroker,
    FrameProducer,
    FrameSink,
)

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats", "FrameBroker", "FrameProducer", "FrameSink")
