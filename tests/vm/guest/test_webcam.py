"""Simulated webcam as the kernel, udev and v4l2-ctl see it, compared with its own state."""

import json
from pathlib import Path

import pytest

from tests.vm.cameras.layout import Continuous, FrameSize, Layout, Transfer
from tests.vm.cameras.pictures import number_in
from tests.vm.guest.cameras import PlugWebcam, Root
from tests.vm.guest.monitor import udev_events
from tests.vm.guest.programs import control_values, listed_formats, output_of, udev_properties

SMALL = FrameSize(320, 240, (10, 5))
LAYOUT = Layout(mjpeg=(FrameSize(640, 480, (15, 30)), SMALL), yuyv=(FrameSize(160, 120, (5, 10)),))
TRANSFERS: tuple[Transfer, ...] = ("bulk", "isochronous")


async def test_its_formats_sizes_and_rates_are_those_announced(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as camera:
        assert await listed_formats(camera.node) == [
            ("MJPG", "640x480", ("30.000", "15.000")),
            ("MJPG", "320x240", ("10.000", "5.000")),
            ("YUYV", "160x120", ("10.000", "5.000")),
        ]


async def test_a_range_of_rates_is_one(webcam: PlugWebcam) -> None:
    size = FrameSize(640, 480, Continuous(slowest_fps=5, fastest_fps=30, step_us=1000))
    async with webcam(Layout(mjpeg=(size,), yuyv=())) as camera:
        ((fourcc, name, (rates,)),) = await listed_formats(camera.node)
        assert (fourcc, name) == ("MJPG", "640x480")
        assert rates.startswith("Stepwise 0.033s - 0.200s with step 0.001s")


@pytest.mark.parametrize("transfer", TRANSFERS)
async def test_pictures_arrive_byte_for_byte(webcam: PlugWebcam, tmp_path: Path, transfer: Transfer) -> None:
    async with webcam(Layout(mjpeg=LAYOUT.mjpeg, transfer=transfer)) as camera:
        for size in LAYOUT.mjpeg:
            files = camera.pictures(size)
            file = tmp_path / "stream"
            form = f"width={size.width},height={size.height},pixelformat=MJPG"
            await output_of("v4l2-ctl", "-d", camera.node, "--set-fmt-video", form)
            count = f"--stream-count={len(files)}"
            await output_of("v4l2-ctl", "-d", camera.node, "--stream-mmap", count, f"--stream-to={file}")
            assert file.read_bytes() == b"".join(files)


@pytest.mark.parametrize("transfer", TRANSFERS)
async def test_raw_pictures_are_whole_and_in_order(
    webcam: PlugWebcam, tmp_path: Path, transfer: Transfer
) -> None:
    file = tmp_path / "stream"
    async with webcam(Layout(mjpeg=(), yuyv=(SMALL,), transfer=transfer)) as camera:
        await output_of(
            "v4l2-ctl", "-d", camera.node, "--stream-mmap", "--stream-count=5", f"--stream-to={file}"
        )
        sent = await camera.sent()
    data = file.read_bytes()
    assert len(data) == 5 * SMALL.raw_bytes
    assert [number_in(data[at:]) for at in range(0, len(data), SMALL.raw_bytes)] == list(range(5))
    assert [(each.index, each.format, each.width, each.height) for each in sent[:5]] == [
        (index, "YUYV", 320, 240) for index in range(5)
    ]


async def test_pictures_come_at_the_rate_that_was_chosen(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as camera:
        form = "width=320,height=240,pixelformat=MJPG"
        await output_of("v4l2-ctl", "-d", camera.node, "--set-fmt-video", form, "--set-parm", "5")
        await output_of("v4l2-ctl", "-d", camera.node, "--stream-mmap", "--stream-count=11")
        sent = await camera.sent()
    # Ten intervals of 200 ms, minus the first picture's delay on a busy host; at 10 fps it would be 1 s.
    assert sent[10].started_ns - sent[0].started_ns > 1_200_000_000


async def test_the_first_pictures_can_be_dark(webcam: PlugWebcam, tmp_path: Path) -> None:
    file = tmp_path / "stream"
    async with webcam(Layout(mjpeg=(SMALL,), dark_frames=2)) as camera:
        await output_of(
            "v4l2-ctl", "-d", camera.node, "--stream-mmap", "--stream-count=3", f"--stream-to={file}"
        )
        dark = (Path(camera.layout.frames) / "320x240/dark/0.jpg").read_bytes()
        assert file.read_bytes() == dark + dark + camera.pictures(SMALL)[2]


async def test_udev_knows_its_serial_and_its_two_nodes(webcam: PlugWebcam) -> None:
    async with webcam(Layout(serial="A1", product="Front"), port=4) as camera:
        properties = await udev_properties(camera.node)
        assert properties["ID_SERIAL_SHORT"] == "A1"
        assert properties["ID_SERIAL"] == "Simulated_Front_A1"
        assert properties["ID_PATH"] == "platform-vhci_hcd.0-usb-0:5:1.0"
        assert ":capture:" in properties["ID_V4L_CAPABILITIES"]
        assert properties["ID_USB_DRIVER"] == "uvcvideo"
        assert ":capture:" not in (await udev_properties(camera.metadata_node))["ID_V4L_CAPABILITIES"]
        links = Path("/dev/v4l/by-id").iterdir()
        assert {each.name for each in links} == {
            f"usb-Simulated_Front_A1-video-index{index}" for index in (0, 1)
        }


async def test_twins_without_serials_differ_by_their_ports_only(webcam: PlugWebcam) -> None:
    layout = Layout(serial=None)
    async with webcam(layout, port=1) as left, webcam(layout, port=6) as right:
        ours, others = await udev_properties(left.node), await udev_properties(right.node)
    assert "ID_SERIAL_SHORT" not in ours
    differing = {name for name in ours if ours[name] != others[name]}
    assert differing >= {"DEVPATH", "ID_PATH"}
    # The other properties come from the path or from the node's name.
    assert differing <= {
        *(
            "DEVLINKS",
            "DEVNAME",
            "DEVPATH",
            "ID_FOR_SEAT",
            "ID_PATH",
            "ID_PATH_TAG",
            "ID_PATH_WITH_USB_REVISION",
        ),
        *("CURRENT_TAGS", "MINOR", "TAGS", "USEC_INITIALIZED"),
    }


async def test_a_port_holds_one_camera(webcam: PlugWebcam) -> None:
    async with webcam(port=3) as first:
        with pytest.raises(OSError, match="port 3 is not free"):
            async with webcam(port=3):
                pass
        await first.unplug()
        assert not Path("/dev/video0").exists()
        await first.plug(port=5)
        assert first.device.name == "1-6"


async def test_a_camera_goes_with_the_connection_that_plugged_it() -> None:
    async with Root.connected() as other:
        layout = Layout().to_json()
        assert await other.ask(do="plug", layout=layout, port=7) == {"port": 7}
    async with Root.connected() as root:
        await root.run(
            "sh", "-c", "while grep -q '^hs  0007 006' /sys/devices/platform/vhci_hcd.0/status; do :; done"
        )
        assert await root.run("sh", "-c", "ls /sys/bus/usb/devices | grep ^1-8 || true") == ""


async def test_udev_tells_plug_and_unplug(webcam: PlugWebcam, tmp_path: Path) -> None:
    async with udev_events() as next_event:
        async with webcam() as camera:
            nodes = {each.name for each in camera.nodes}
            assert {await next_event(), await next_event()} == {("add", name) for name in nodes}
        assert {await next_event(), await next_event()} == {("remove", name) for name in nodes}


async def test_controls_depend_on_each_other(webcam: PlugWebcam) -> None:
    async with webcam() as camera:

        async def set_controls(text: str) -> str:
            return await output_of("v4l2-ctl", "-d", camera.node, "--set-ctrl", text)

        before = await control_values(camera.node)
        by_the_driver = await camera.control_history()
        assert before["brightness"] == (0, True)
        assert before["white_balance_automatic"] == (1, True)
        assert before["white_balance_temperature"] == (4600, False)
        assert before["exposure_time_absolute"] == (250, False)
        await set_controls("brightness=-20")
        await set_controls("auto_exposure=1")
        await set_controls("exposure_time_absolute=300")
        after = await control_values(camera.node)
        assert after["brightness"] == (-20, True)
        assert after["exposure_time_absolute"] == (300, True)
        assert (await camera.control_history())[len(by_the_driver) :] == [
            ("brightness", -20),
            ("auto_exposure", 1),
            ("exposure_time", 300),
        ]
        with pytest.raises(AssertionError):
            await set_controls("white_balance_temperature=5000")
        assert (await camera.controls())["white_balance_temperature"] == 4600


async def test_an_unplugged_camera_forgets_its_controls(webcam: PlugWebcam) -> None:
    async with webcam(port=2) as camera:
        await output_of("v4l2-ctl", "-d", camera.node, "--set-ctrl", "gain=7")
        assert (await camera.controls())["gain"] == 7
        await camera.unplug()
        await camera.plug(port=2)
        assert (await camera.controls())["gain"] == 0


def test_a_layout_survives_the_socket() -> None:
    layout = Layout(mjpeg=(FrameSize(1, 2, Continuous(1, 2)),), serial=None)
    assert Layout.from_json(json.dumps(json.loads(layout.to_json()))) == layout
