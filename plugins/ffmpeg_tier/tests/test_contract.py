"""Contract of snapshot tiers, applied to this tier."""

from agent_core.plugin import Camera, DetectedCamera, FfmpegInput, Fingerprint, SnapshotTier
from agent_core.testing import SystemClock, TierContract, as_camera
from ffmpeg_tier import FfmpegTier, FfmpegTierSettings


class TestFfmpegTier(TierContract):
    def make_tier(self) -> SnapshotTier:
        return FfmpegTier(FfmpegTierSettings(), program=None, clock=SystemClock())

    def camera(self) -> Camera:
        source = FfmpegInput(("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15"))
        return as_camera(DetectedCamera("1", "Test", Fingerprint("test", "1"), source))
