"""Snapshot tiers that read RTSP streams of the media server: one for live streams, one that starts them."""

from rtsp_tier.plugin import RtspTierPlugin
from rtsp_tier.settings import RtspTierSettings

__all__ = ("RtspTierPlugin", "RtspTierSettings")
