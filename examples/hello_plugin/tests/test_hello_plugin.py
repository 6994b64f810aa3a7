"""Tests of the source and the tier with the contracts that the agent ships."""

from hello_plugin import HelloSource, HelloTier

from agent_core.plugin import Camera, CameraSource, DetectedCamera, Fingerprint, SnapshotTier
from agent_core.testing import CameraSourceContract, TierContract, as_camera


class TestSource(CameraSourceContract):
    def make_source(self) -> CameraSource:
        return HelloSource()


class TestTier(TierContract):
    def make_tier(self) -> SnapshotTier:
        return HelloTier("seagreen")

    def camera(self) -> Camera:
        return as_camera(DetectedCamera("hello-1", "Hello", Fingerprint("hello_plugin", "hello-1"), None))
