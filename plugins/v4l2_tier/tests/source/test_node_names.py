"""Devices are joined with their nodes by number; /dev/null and its kin stand for cameras."""

import os
import stat
from pathlib import Path

import pytest

from v4l2_tier.source.inventory import Inventory
from v4l2_tier.source.node_names import find_names

NULL, ZERO, FULL = (Path("/dev", name).stat().st_rdev for name in ("null", "zero", "full"))
CAMERAS = {NULL: "video0", ZERO: "video2"}


def link(folder: Path, name: str, device: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(f"/dev/{device}")
    return path


def test_the_kernels_own_names_are_taken_as_they_are(tmp_path: Path) -> None:
    null, zero = link(tmp_path, "video0", "null"), link(tmp_path, "video2", "zero")
    link(tmp_path, "v4l/by-id/usb-cam", "zero")
    assert find_names(CAMERAS, tmp_path).paths == {NULL: null, ZERO: zero}


@pytest.mark.parametrize("name", ["video0", "video7", "webcam", "cameras/front"])
def test_a_device_is_found_under_any_name_and_is_no_other(tmp_path: Path, name: str) -> None:
    """As with `docker run --device /dev/video2:/dev/video0`: the node that the kernel calls video2."""
    path = link(tmp_path, name, "zero")
    named = find_names(CAMERAS, tmp_path)
    assert named.paths == {ZERO: path}
    assert named.missing == {NULL}


def test_two_nodes_that_changed_names_are_told_apart(tmp_path: Path) -> None:
    zero, null = link(tmp_path, "video0", "zero"), link(tmp_path, "video2", "null")
    assert find_names(CAMERAS, tmp_path).paths == {NULL: null, ZERO: zero}


def test_of_several_names_the_kernels_is_used_then_the_first(tmp_path: Path) -> None:
    link(tmp_path, "a", "null")
    own, first = link(tmp_path, "video0", "null"), link(tmp_path, "b", "zero")
    link(tmp_path, "c", "zero")
    assert find_names(CAMERAS, tmp_path).paths == {NULL: own, ZERO: first}


def test_files_folders_and_broken_links_are_no_devices(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    (tmp_path / "video2").mkdir()
    link(tmp_path, "video7", "no-such-device")
    assert find_names(CAMERAS, tmp_path).paths == {}
    assert find_names(CAMERAS, tmp_path / "none").missing == {NULL, ZERO}


def test_a_node_that_sysfs_does_not_know_is_told(tmp_path: Path) -> None:
    node = tmp_path / "webcam"
    try:
        os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(81, 200))
        node.stat()
    except OSError:
        pytest.skip("making device nodes needs root")
    assert find_names(CAMERAS, tmp_path).unknown == ((node, os.makedev(81, 200)),)
    assert find_names({}, tmp_path).unknown == ((node, os.makedev(81, 200)),)


async def test_the_inventory_shows_a_renamed_device_by_its_own_properties(tmp_path: Path) -> None:
    link(tmp_path, "video5", "zero")
    link(tmp_path, "webcam", "full")
    nodes, _ = await Inventory("mem", tmp_path).look()
    found = {node.name: (node.path.name, node.number, node.device_number) for node in nodes}
    assert found["zero"] == ("video5", 5, ZERO)
    assert found["full"][0::2] == ("webcam", FULL)
    assert found.keys() == {"zero", "full"}


async def test_what_cannot_be_brought_together_is_said_when_it_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inventory = Inventory("mem", tmp_path)
    assert (await inventory.look())[0] == ()
    assert "zero" in "".join(inventory.doubts)
    assert caplog.messages == []
    for _ in range(3):
        await inventory.look()
    (said,) = caplog.messages
    assert "has a node here" in said
    link(tmp_path, "zero", "zero")
    await inventory.look()
    assert inventory.doubts == ()
