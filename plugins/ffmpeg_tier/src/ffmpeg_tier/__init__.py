"""Snapshot tier and publisher based on FFmpeg: stills and H.264 streams of media inputs."""

from ffmpeg_tier.plugin import FfmpegTierPlugin
from ffmpeg_tier.publisher import publisher
from ffmpeg_tier.settings import FfmpegTierSettings
from ffmpeg_tier.tier import FfmpegTier

__all__ = ("FfmpegTier", "FfmpegTierPlugin", "FfmpegTierSettings", "publisher")
