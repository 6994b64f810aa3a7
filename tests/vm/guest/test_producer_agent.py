"""Tier 0 of a whole agent over the producer: clients receive the pictures that the camera sent."""

import io
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from PIL import ExifTags, Image

from agent_core import plugin as api
from agent_core.plugin.frames import FrameBroker
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.captured import PATIENCE_S, capabilities_of, offered, panel_of
from v4l2_tier.capture.limits import broker_settings
from v4l2_tier.capture.producer import V4l2Producer
from v4l2_tier.settings import CaptureSettings

SIZE = FrameSize(640, 480, (10,))
LAYOUT = Layout(mjpeg=(SIZE,), yuyv=())


class OneNode(api.CameraSource):
    """Source of the camera at one given node."""

    name = "one_node"

    def __init__(self, node: Path, clock: api.Clock) -> None:
        settings = CaptureSettings()
        capabilities = capabilities_of(node, offered(LAYOUT))
        panel = panel_of(node, capabilities, settings)
        producer = V4l2Producer(node, capabilities, settings, panel, clock=clock)
        self._broker = FrameBroker(producer, clock=clock, settings=broker_settings(settings, producer.chosen))

    async def watch(
        self, report: api.CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._broker.run)
            fingerprint = api.Fingerprint(self.name, "1")
            report.connected(
                api.DetectedCamera("1", "Webcam", fingerprint, None, number_hint=0, frames=self._broker)
            )
            task_status.started()
            await anyio.sleep_forever()


def plugin_for(node: Path) -> type[api.Plugin[api.Settings]]:
    class OneNodePlugin(api.Plugin[api.Settings]):
        @api.hookimpl
        def agent_camera_sources(self, agent: api.AgentContext) -> Iterable[api.CameraSource]:
            return [OneNode(node, agent.clock)]

    return OneNodePlugin


def without_exif(jpeg: bytes) -> bytes:
    """Return `jpeg` without its first EXIF segment; independent of our own code."""
    at = jpeg.index(b"\xff\xe1")
    assert jpeg[at + 4 : at + 10] == b"Exif\0\0"
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


async def test_a_snapshot_is_what_the_camera_sent_with_the_time_it_was_exposed(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged:
        files = plugged.pictures(SIZE)
        async with (
            running_agent(plugins={"one_node": plugin_for(plugged.node)}) as agent,
            agent.client() as client,
        ):
            with anyio.fail_after(PATIENCE_S):
                before = datetime.now(UTC)
                taken = await client.call("take_snapshot", device="camera0", max_age_ms=0, deadline_ms=30_000)
                data = await client.download(taken["download_url"])
        offset_s = time.time() - time.monotonic()
        sent = await plugged.sent()
    assert taken["tier_used"] == 0
    assert taken["captured_at_source"] == "device"
    assert without_exif(data) in files
    number = files.index(without_exif(data))
    details = Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.Exif)
    text = f"{details[ExifTags.Base.DateTimeOriginal]}.{details[ExifTags.Base.SubsecTimeOriginal]}"
    exposed = datetime.strptime(text, "%Y:%m:%d %H:%M:%S.%f").replace(tzinfo=UTC)
    assert details[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert exposed.timestamp() >= before.timestamp() - 0.001
    began_s = [each.started_ns / 1e9 + offset_s for each in sent if each.index % len(files) == number]
    assert any(abs(began - exposed.timestamp()) < 0.25 for began in began_s)
