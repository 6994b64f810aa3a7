"""Devices without hardware are not asked for their kind while no program writes to them."""

import errno
import os
from pathlib import Path

import pytest
from linuxpy.video import raw

from v4l2_tier.device.probe import NoCamera, probe
from v4l2_tier.device.writers import NO_WRITER, lacks_writer

LOOPBACK, WEBCAM = os.makedev(81, 0), os.makedev(81, 1)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    (tmp_path / "dev/char").mkdir(parents=True)
    for number, folder in ((0, "devices/virtual/video4linux/video0"), (1, "devices/usb1/video4linux/video1")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / f"dev/char/81:{number}").symlink_to(tmp_path / folder)
    return tmp_path


class Driver:
    """Driver that has a format of each of `kinds`; only that may be asked."""

    def __init__(self, *kinds: int, error: int = errno.EINVAL) -> None:
        self.kinds, self.error = kinds, error

    def __call__(self, request: int, argument: object) -> object:
        assert request == raw.IOC.G_FMT
        assert isinstance(argument, raw.v4l2_format)
        if argument.type not in self.kinds:
            raise OSError(self.error, os.strerror(self.error))
        return 0


def test_a_loopback_device_without_a_format_lacks_a_writer(sysfs: Path) -> None:
    assert lacks_writer(Driver(), LOOPBACK, sysfs)
    for planes in (1, 9):
        assert not lacks_writer(Driver(planes), LOOPBACK, sysfs)


def test_hardware_and_what_sysfs_does_not_have_lack_none(sysfs: Path) -> None:
    for number in (WEBCAM, os.makedev(81, 2)):
        assert not lacks_writer(Driver(), number, sysfs)


def test_one_that_is_gone_is_not_called_without_a_writer(sysfs: Path) -> None:
    with pytest.raises(OSError, match="No such device"):
        lacks_writer(Driver(error=errno.ENODEV), LOOPBACK, sysfs)


def test_a_probe_asks_for_a_writer_first() -> None:
    """/dev/null, without hardware, knows no call at all."""
    assert probe(Path("/dev/null")) == NoCamera(NO_WRITER)
