"""Commands of the programs, and the choice between these."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from libcamera_source.listing import ListedCamera
from libcamera_source.programs import (
    ALWAYS,
    CAM,
    GSTREAMER,
    ORIENTATION,
    PROGRAMS,
    RPICAM,
    Program,
    Tools,
    command,
    find_tools,
)
from libcamera_source.settings import CaptureSettings, LibcameraSettings

README = Path(__file__).parents[1] / "README.md"
CAMERA = ListedCamera("/base/soc/i2c0mux/i2c@1/imx219@10", 1, "imx219", "")
USB = ListedCamera(r"\_SB_.PCI0.XHC_.RHUB.HS05-5:1.0-0408:5251", 2, "HP", "External camera")


def words(program: Program, camera: ListedCamera = CAMERA, **settings: object) -> str:
    tools = Tools(program, program.executables[0], *program.listers[0])
    return " ".join(command(tools, camera, CaptureSettings.model_validate(settings)))


def test_rpicam_is_given_the_index_and_only_what_is_set() -> None:
    base = (
        "rpicam-vid --camera 1 --timeout 0 --nopreview --flush --output -"
        " --width 1280 --height 720 --framerate 30"
    )
    assert words(RPICAM) == f"{base} --codec mjpeg --quality 85"
    turned = words(
        RPICAM, rotation=180, hflip=True, tuning_file="/t.json", extra_arguments=["--awb", "tungsten"]
    )
    assert turned.startswith(
        f"{base} --rotation 180 --hflip --tuning-file /t.json --awb tungsten --codec mjpeg"
    )


def test_video_that_the_board_encodes_has_key_frames_with_parameter_sets() -> None:
    coded = words(RPICAM, codec="h264", fps=15, key_interval_s=1, bitrate=2_000_000)
    assert coded.endswith(" --codec h264 --inline --libav-format h264 --intra 15 --bitrate 2000000")
    assert "--bitrate" not in words(RPICAM, codec="h264")
    assert words(GSTREAMER, codec="h264", fps=15).endswith(
        " ! videoconvert ! v4l2h264enc extra-controls=controls,repeat_sequence_header=1,h264_i_frame_period=30"
        " ! video/x-h264,level=(string)4.2 ! h264parse"
        " ! video/x-h264,stream-format=byte-stream,alignment=au ! fdsink fd=1 sync=false"
    )


def test_gstreamer_is_given_the_id() -> None:
    assert words(GSTREAMER, width=640, height=480, fps=7.5, vflip=True) == (
        "gst-launch-1.0 --quiet libcamerasrc camera-name=/base/soc/i2c0mux/i2c@1/imx219@10"
        " ! videorate drop-only=true ! videoscale ! video/x-raw,width=640,height=480,framerate=15/2"
        " ! videoflip video-direction=vert ! videoconvert ! jpegenc quality=85 ! fdsink fd=1 sync=false"
    )
    assert " camera-name=/base/soc/i2c0mux/i2c@1/imx219@10 ae-enable=false !" in words(
        GSTREAMER, extra_arguments=["ae-enable=false"]
    )


def test_the_jpegs_of_usb_cameras_are_passed_on_and_backslashes_are_escaped() -> None:
    assert words(GSTREAMER, USB) == (
        r"gst-launch-1.0 --quiet libcamerasrc camera-name=\\_SB_.PCI0.XHC_.RHUB.HS05-5:1.0-0408:5251"
        " ! image/jpeg,width=1280,height=720,framerate=30/1 ! fdsink fd=1 sync=false"
    )
    assert "jpegenc" in words(GSTREAMER, USB, camera_format="raw")
    assert "jpegenc" not in words(GSTREAMER, CAMERA, camera_format="jpeg")


def test_cam_writes_each_frame_into_the_pipe() -> None:
    assert words(CAM, rotation=180) == (
        "cam --camera=/base/soc/i2c0mux/i2c@1/imx219@10 --capture --file=pipe"
        " --stream=width=1280,height=720,pixelformat=NV12,colorspace=sYCC --orientation=rot180"
    )
    assert "pixelformat=MJPEG" in words(CAM, USB)


@pytest.mark.parametrize(
    ("turned", "word"),
    [
        ({}, None),
        ({"hflip": True}, "mirror"),
        ({"vflip": True}, "flip"),
        ({"hflip": True, "vflip": True}, "rot180"),
        ({"rotation": 180}, "rot180"),
        ({"rotation": 180, "hflip": True}, "flip"),
        ({"rotation": 180, "vflip": True}, "mirror"),
        ({"rotation": 180, "hflip": True, "vflip": True}, None),
    ],
)
def test_cam_is_given_one_orientation(turned: dict[str, object], word: str | None) -> None:
    given = [each for each in words(CAM, CAMERA, **turned).split() if each.startswith("--orientation")]
    assert given == ([f"--orientation={word}"] if word else [])


@pytest.mark.parametrize("turned", [{"rotation": 180}, {"hflip": True}, {"vflip": True}])
def test_what_turns_a_picture_is_never_left_out(turned: dict[str, object]) -> None:
    for camera_format in (None, "jpeg"):
        given = words(GSTREAMER, USB, camera_format=camera_format, **turned)
        assert "videoflip" in given
        assert "image/jpeg" not in given


def place(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).touch(mode=0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("names", "choice", "found"),
    [
        ((), "auto", None),
        (("gst-launch-1.0",), "auto", None),
        (("cam",), "auto", "cam"),
        (("gst-launch-1.0", "cam"), "cam", "cam"),
        (("gst-launch-1.0", "cam"), "auto", "gst-launch-1.0"),
        (("gst-launch-1.0", "cam", "rpicam-vid"), "auto", "rpicam-vid"),
        (("gst-launch-1.0", "cam", "libcamera-vid"), "auto", "libcamera-vid"),
        (("libcamera-vid", "rpicam-vid"), "auto", "rpicam-vid"),
        (("gst-launch-1.0", "cam", "rpicam-vid"), "gstreamer", "gst-launch-1.0"),
        (("gst-launch-1.0", "cam"), "rpicam", None),
    ],
)
def test_the_program_that_is_there_is_used(
    tmp_path: Path, names: tuple[str, ...], choice: str, found: str | None
) -> None:
    program = LibcameraSettings.model_validate({"program": choice}).program
    tools = find_tools(program, place(tmp_path, *names))
    assert (Path(tools[0].capture).name if tools else None) == found


def test_each_option_has_a_source_and_the_readme_shows_each() -> None:
    text = README.read_text()
    for program in PROGRAMS:
        for option in (*program.options, *(program.jpeg_options or ()), *program.h264_options):
            assert option.source
            assert option.setting in (ALWAYS, ORIENTATION, *CaptureSettings.model_fields)
            assert f"| `{' '.join(option.words).replace('|', '')}` |" in text, option
            assert option.shown_on in text
    assert {each.shown_on for each in (*RPICAM.options, *RPICAM.h264_options)} == {"documentation only"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 641},
        {"rotation": 90},
        {"extra_arguments": ["!"]},
        {"tuning_file": "here.json"},
        {"codec": "h264", "camera_format": "jpeg"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CaptureSettings.model_validate(wrong)
