"""Commands of the programs, and the choice between these."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from libcamera_source.listing import ListedCamera
from libcamera_source.programs import ALWAYS, GSTREAMER, PROGRAMS, RPICAM, Program, Tools, command, find_tools
from libcamera_source.settings import CaptureSettings, LibcameraSettings

README = Path(__file__).parents[1] / "README.md"
CAMERA = ListedCamera("/base/soc/i2c0mux/i2c@1/imx219@10", 1, "imx219", "")
USB = ListedCamera(r"\_SB_.PCI0.XHC_.RHUB.HS05-5:1.0-0408:5251", 2, "HP", "External camera")


def words(program: Program, camera: ListedCamera = CAMERA, **settings: object) -> str:
    tools = Tools(program, program.executables[0], *program.listers[0])
    return " ".join(command(tools, camera, CaptureSettings.model_validate(settings)))


def test_rpicam_is_given_the_index_and_only_what_is_set() -> None:
    assert words(RPICAM) == (
        "rpicam-vid --camera 1 --timeout 0 --nopreview --flush --output - --codec mjpeg --quality 85"
        " --width 1280 --height 720 --framerate 30"
    )
    turned = words(
        RPICAM, rotation=180, hflip=True, tuning_file="/t.json", extra_arguments=["--awb", "tungsten"]
    )
    assert turned.endswith(" --framerate 30 --rotation 180 --hflip --tuning-file /t.json --awb tungsten")


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


def place(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).touch(mode=0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("names", "choice", "found"),
    [
        ((), "auto", None),
        (("gst-launch-1.0",), "auto", None),
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
    assert (tools and Path(tools.capture).name) == found


def test_each_option_has_a_source_and_the_readme_shows_each() -> None:
    text = README.read_text()
    for program in PROGRAMS:
        for option in (*program.options, *(program.jpeg_options or ())):
            assert option.source
            assert option.setting in (ALWAYS, *CaptureSettings.model_fields)
            assert f"| `{' '.join(option.words).replace('|', '')}` |" in text, option
            assert option.shown_on in text
    assert all(option.shown_on == "documentation only" for option in RPICAM.options)


@pytest.mark.parametrize(
    "wrong", [{"width": 641}, {"rotation": 90}, {"extra_arguments": ["!"]}, {"tuning_file": "here.json"}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CaptureSettings.model_validate(wrong)
