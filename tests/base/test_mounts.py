"""Mount points, from the kernel's list."""

from pathlib import Path

import pytest

from agent_core.base.mounts import deepest_mount_point, has_local_type, is_local, mount_point_of

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


NETWORKS = [
    *LINES,
    b"40 21 0:50 / /mnt/nfs rw shared:7 master:1 - nfs4 server:/export rw",
    b"41 40 0:51 / /mnt/nfs/local rw - xfs /dev/sdf1 rw",
    b"42 21 0:52 / /mnt/share rw - fuse.sshfs host: rw",
    b"43 21 0:53 / /mnt/cifs rw - cifs //host/share rw",
    b"44 21 0:54 / /mnt/auto rw - autofs systemd-1 rw",
    b"45 21 0:55 / /mnt/auto rw - ext4 /dev/sdg1 rw",
    b"46 21 8:19 / /mnt/covered rw - ext4 /dev/sdh1 rw",
    b"47 46 0:56 / /mnt/covered rw - 9p share rw",
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib", True),
        ("/mnt/usb stick/x", True),
        ("/mnt/nfs/recordings", False),
        ("/mnt/nfs/local/x", True),
        ("/mnt/share/x", False),
        ("/mnt/cifs", False),
        ("/mnt/auto/x", True),
        ("/mnt/covered/x", False),
    ],
)
def test_only_disks_of_this_host_are_local(path: str, *, expected: bool) -> None:
    assert has_local_type(Path(path), NETWORKS) is expected


def test_without_a_list_nothing_is_local() -> None:
    assert not has_local_type(Path("/var/lib"), [])


def test_the_kernels_list_is_read() -> None:
    assert mount_point_of(Path("/proc/self/status")) == Path("/proc")
    assert mount_point_of(Path("/")) == Path("/")
    assert not is_local(Path("/proc/self/status"))
