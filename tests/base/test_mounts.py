"""Mount points, from the kernel's list."""

from pathlib import Path

import pytest

from agent_core.base.mounts import deepest_mount_point, mount_point_of

LINES = [
    b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    b"30 21 8:17 / /mnt/usb rw - ext4 /dev/sdb1 rw",
    b"31 21 8:18 / /mnt/usb\\040stick rw - vfat /dev/sdc1 rw",
    b"32 30 8:18 /sub /mnt/usb/inner rw - ext4 /dev/sdd1 rw",
    b"broken",
]


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/var/lib", "/"),
        ("/mnt/usb", "/mnt/usb"),
        ("/mnt/usb/recordings/camera0", "/mnt/usb"),
        ("/mnt/usb-not", "/"),
        ("/mnt/usb stick/x", "/mnt/usb stick"),
        ("/mnt/usb/inner/x", "/mnt/usb/inner"),
    ],
)
def test_the_deepest_mount_point_above_a_path_counts(path: str, point: str) -> None:
    assert deepest_mount_point(Path(path), LINES) == Path(point)


def test_the_kernels_list_is_read() -> None:
    assert mount_point_of(Path("/proc/self/status")) == Path("/proc")
    assert mount_point_of(Path("/")) == Path("/")
