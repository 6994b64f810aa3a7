"""Plugin class with its hooks."""

from agent_core.plugin import (
    AgentContext,
    Check,
    Component,
    MediaInput,
    Plugin,
    Publisher,
    RecordingStills,
    SnapshotTier,
    ffmpeg,
    hookimpl,
)
from ffmpeg_tier import inputs
from ffmpeg_tier.encoders import SOFTWARE
from ffmpeg_tier.hardware import EncoderCheck, HardwareEncoder
from ffmpeg_tier.publisher import publisher
from ffmpeg_tier.settings import FfmpegTierSettings
from ffmpeg_tier.stills import FfmpegStills
from ffmpeg_tier.tier import FfmpegTier

__all__ = ("FfmpegTierPlugin",)


class FfmpegTierPlugin(Plugin[FfmpegTierSettings]):
    """Plugin with one tier, one publisher and one decoder of recordings, and a component for a hardware encoder. It looks for FFmpeg on each use, so FFmpeg may be installed later."""

    Settings = FfmpegTierSettings

    def __init__(self, settings: FfmpegTierSettings) -> None:
        super().__init__(settings)
        self._program = settings.program
        self._encoder: HardwareEncoder | None = None

    @hookimpl
    def agent_snapshot_tiers(self, agent: AgentContext) -> list[SnapshotTier]:
        self._program = self.settings.program or agent.ffmpeg
        return [FfmpegTier(self.settings, program=self._program, clock=agent.clock)]

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        """Return the component of an encoder that may not work on this machine; none for the usual one."""
        if self.settings.encoder == SOFTWARE.name:
            return []
        program = self.settings.program or agent.ffmpeg
        self._encoder = HardwareEncoder(self.settings, program=program)
        return [self._encoder]

    @hookimpl
    def agent_checks(self, ffmpeg_program: str | None) -> list[Check]:
        return [EncoderCheck(self.settings, program=self.settings.program or ffmpeg_program)]

    @hookimpl
    def agent_recording_stills(self, agent: AgentContext) -> RecordingStills:
        return FfmpegStills(program=self.settings.program or agent.ffmpeg)

    @hookimpl
    def agent_publisher(self, media_input: MediaInput) -> Publisher | None:
        """Return the publisher of `media_input`.

        Raises:
            FfmpegFailed: FFmpeg is missing (`ffmpeg_missing`), or the encoder is being tried (`encoder_untried`).
        """
        encoder = None if self._encoder is None or inputs.is_coded(media_input) else self._encoder.chosen
        return publisher(media_input, self.settings, ffmpeg.locate(self._program), encoder)
