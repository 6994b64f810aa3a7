"""Plugin class with its hooks."""

from agent_core.plugin import (
    AgentContext,
    MediaInput,
    Plugin,
    Publisher,
    RecordingStills,
    SnapshotTier,
    ffmpeg,
    hookimpl,
)
from ffmpeg_tier.publisher import publisher
from ffmpeg_tier.settings import FfmpegTierSettings
from ffmpeg_tier.stills import FfmpegStills
from ffmpeg_tier.tier import FfmpegTier

__all__ = ("FfmpegTierPlugin",)


class FfmpegTierPlugin(Plugin[FfmpegTierSettings]):
    """Plugin with one tier, one publisher and one decoder of recordings. It looks for FFmpeg on each use, so FFmpeg may be installed later."""

    Settings = FfmpegTierSettings

    def __init__(self, settings: FfmpegTierSettings) -> None:
        super().__init__(settings)
        self._program = settings.program

    @hookimpl
    def agent_snapshot_tiers(self, agent: AgentContext) -> list[SnapshotTier]:
        self._program = self.settings.program or agent.ffmpeg
        return [FfmpegTier(self.settings, program=self._program, clock=agent.clock)]

    @hookimpl
    def agent_recording_stills(self, agent: AgentContext) -> RecordingStills:
        return FfmpegStills(program=self.settings.program or agent.ffmpeg)

    @hookimpl
    def agent_publisher(self, media_input: MediaInput) -> Publisher | None:
        """Return the publisher of `media_input`. Raises FfmpegFailed (`ffmpeg_missing`) if FFmpeg is missing."""
        return publisher(media_input, self.settings, ffmpeg.locate(self._program))
