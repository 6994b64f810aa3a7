"""Plugin with one camera, and a snapshot tier that returns plain pictures of a configured colour."""

import io
import time

import anyio
from PIL import Image

from agent_core import plugin as api


class HelloSettings(api.Settings):  # validated from [plugins.hello_plugin]
    colour: str = "seagreen"


class HelloSource(api.CameraSource):
    name = "hello_plugin"

    async def watch(self, report: api.CameraReport, *, task_status: api.Started = api.NOT_ASKED) -> None:
        fingerprint = api.Fingerprint(self.name, serial="hello-1")
        report.connected(api.DetectedCamera("hello-1", "Hello", fingerprint, None, resolution=(320, 240)))
        task_status.started()
        await anyio.sleep_forever()


class HelloTier(api.SnapshotTier):
    name, rank = "hello", 0

    def __init__(self, colour: str) -> None:
        self._colour = colour

    def supports(self, camera: api.Camera) -> bool:
        return camera.detected.fingerprint.source == "hello_plugin"

    async def capture(self, camera: api.Camera, request: api.CaptureRequest) -> api.Picture:
        exposed_s, file = time.monotonic(), io.BytesIO()
        Image.new("RGB", (320, 240), self._colour).save(file, "JPEG")
        return api.Picture(
            file.getvalue(), api.PictureFormat.JPG, 320, 240, exposed_s, api.CapturedAtSource.DEVICE
        )


class HelloPlugin(api.Plugin[HelloSettings]):
    Settings = HelloSettings

    @api.hookimpl
    def agent_camera_sources(self) -> list[api.CameraSource]:
        return [HelloSource()]

    @api.hookimpl
    def agent_snapshot_tiers(self) -> list[api.SnapshotTier]:
        return [HelloTier(self.settings.colour)]
