"""Lists of cameras: real ones, documented ones and anything else. `lists/SOURCES` tells where each is from."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libcamera_source.listing import ListedCamera, parse_cam, parse_rpicam

LISTS = Path(__file__).parent / "lists"


def listed(name: str) -> str:
    return (LISTS / f"{name}.txt").read_text()


def test_cam_lists_cameras_by_their_place_or_their_model() -> None:
    assert parse_cam(listed("cam-0.4-virtual")) == (
        ListedCamera("Virtual0", 0, "", "Internal front camera"),
        ListedCamera("/base/soc/i2c0mux/i2c@1/imx219@10", 1, "imx219", ""),
    )


def test_a_list_without_cameras_is_a_list() -> None:
    assert parse_cam(listed("cam-0.4-none")) == ()
    assert parse_rpicam("No cameras available!\n") == ()


@pytest.mark.parametrize("text", ["", "Failed to start camera manager: Invalid argument", "cam: not found"])
def test_an_error_is_no_list(text: str) -> None:
    assert parse_cam(text) is None
    assert parse_rpicam(text) is None


def test_usb_cameras_are_known_by_their_ids() -> None:
    cameras = parse_cam(listed("cam-0.0-usb")) or ()
    assert [(each.model, each.is_usb) for each in cameras] == [
        ("HP Wide Vision FHD Camera: HP W", True),
        ("HP Wide Vision FHD Camera: HP I", True),
    ]
    cameras = parse_rpicam(listed("libcamera-apps-2022")) or ()
    assert [(each.index, each.model, each.is_usb) for each in cameras] == [
        (0, "imx219", False),
        (1, "H264 USB Camera: USB Camera", True),
    ]


def test_rpicam_lists_cameras_with_their_index() -> None:
    (camera,) = parse_rpicam(listed("rpicam-1.2")) or ()
    assert camera == ListedCamera("/base/soc/i2c0mux/i2c@1/imx708@1a", 0, "imx708_wide", "")
    cameras = parse_rpicam(listed("rpicam-1.9")) or ()
    assert [(each.index, each.id.rpartition("/")[2]) for each in cameras] == [
        (0, "imx585@1A"),
        (1, "ov5647@36"),
    ]


def test_a_camera_without_a_model_is_named_by_its_sensor() -> None:
    (camera,) = (
        parse_cam("Available cameras:\n1: Internal back camera (/base/i2c@fdd40000/ov13855@36)\n") or ()
    )
    assert (camera.model, camera.shown_name) == ("ov13855", "ov13855")


def test_colours_and_repetitions_are_no_obstacle() -> None:
    line = "\x1b[1;32m1: 'imx219' (/base/imx219@10)\x1b[0m\n"
    (camera,) = parse_cam("Available cameras:\n" + 2 * line) or ()
    assert (camera.id, camera.model) == ("/base/imx219@10", "imx219")


LINES = st.one_of(
    st.sampled_from(listed("cam-0.4-virtual").splitlines() + listed("rpicam-1.9").splitlines()),
    st.text(max_size=60),
    st.from_regex(r"[0-9]{1,5} ?: .{0,20}\(.{0,20}\)", fullmatch=True),
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=12))
def test_whatever_is_printed_has_distinct_printable_cameras_or_none(lines: list[str]) -> None:
    for parse in (parse_cam, parse_rpicam):
        cameras = parse("\n".join(["Available cameras:", *lines])) or ()
        assert len({each.id for each in cameras}) == len(cameras)
        assert all(each.id and each.id.isprintable() and each.shown_name.strip() for each in cameras)


@settings(deadline=None)
@given(st.text())
def test_garbage_raises_nothing(text: str) -> None:
    assert parse_cam(text) in (None, ())
    assert parse_rpicam(text) in (None, ())
