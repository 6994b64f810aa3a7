from typing import Any

import pytest
from pydantic import ValidationError

from virtual_camera.settings import CameraSettings, VirtualCameraSettings


def test_without_cameras_there_is_one() -> None:
    (camera,) = VirtualCameraSettings().cameras
    assert (camera.width, camera.height, camera.fps) == (640, 480, 15.0)
    assert camera.recognised_by == "virtual-camera"
    assert VirtualCameraSettings().faults is False


@pytest.mark.parametrize(
    ("name", "serial", "expected"),
    [
        ("Front door", None, "front-door"),
        ("Front door", "A1", "A1"),
        ("  Süd/West 2!", None, "s-d-west-2"),
        ("Öl", None, "l"),
        ("日本", None, "日本"),
    ],
)
def test_a_camera_is_recognised_by_its_serial_or_its_name(
    name: str, serial: str | None, expected: str
) -> None:
    assert CameraSettings(name=name, serial=serial).recognised_by == expected


def test_a_file_implies_the_kind_of_picture() -> None:
    assert CameraSettings.model_validate({"name": "a", "file": "/clips/a.mp4"}).picture == "file"


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ({}, "name"),
        ({"name": ""}, "at least 1"),
        ({"name": "a", "width": 641}, "multiple of 2"),
        ({"name": "a", "width": 80}, "greater than or equal to 160"),
        ({"name": "a", "height": 100}, "greater than or equal to 120"),
        ({"name": "a", "height": 4000}, "less than or equal to 2160"),
        ({"name": "a", "fps": 0}, "greater than or equal to 0.2"),
        ({"name": "a", "fps": float("nan")}, "fps"),
        ({"name": "a", "id": "camera01"}, "pattern"),
        ({"name": "a", "id": "door"}, "pattern"),
        ({"name": "a", "pixel_format": "rgb24"}, "yuvj420p"),
        ({"name": "a", "timestamps": "wall"}, "'device' or 'arrival'"),
        ({"name": "a", "picture": "file"}, "set both 'file'"),
        ({"name": "a", "picture": "test", "file": "/a.mp4"}, "set both 'file'"),
        ({"name": "a", "file": "a.mp4"}, "absolute"),
        ({"name": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_camera_is_refused_with_the_reason(camera: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VirtualCameraSettings.model_validate({"cameras": [camera]})


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"name": "a"}, {"name": "a"}, "two cameras have the name 'a'"),
        ({"name": "a", "id": "camera0"}, {"name": "b", "id": "camera0"}, "two cameras have the id 'camera0'"),
        (
            {"name": "a", "serial": "1"},
            {"name": "b", "serial": "1"},
            "two cameras have the serial number '1'",
        ),
        ({"name": "a b"}, {"name": "a-b"}, "two cameras have the serial number 'a-b'"),
    ],
)
def test_two_cameras_must_differ(first: dict[str, Any], second: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VirtualCameraSettings.model_validate({"cameras": [first, second]})


def test_cameras_without_an_id_do_not_clash() -> None:
    settings = VirtualCameraSettings.model_validate({"cameras": [{"name": "a"}, {"name": "b"}]})
    assert [camera.id for camera in settings.cameras] == [None, None]
