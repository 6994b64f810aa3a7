"""USB devices are asked beside each other; one that hangs costs itself only."""

import threading
from pathlib import Path

import anyio

from v4l2_tier.source.usb_strings import UsbDevice, UsbPlace, UsbReader


def place(folder: Path, number: int = 1, incarnation: int = 1) -> UsbPlace:
    return UsbPlace(folder / f"1-{number}", f"1-{number}:1.0", incarnation)


def device(place: UsbPlace) -> UsbDevice:
    return UsbDevice("1d6b", "0102", "Sim Cam", place.folder.name, place.interface)


async def test_the_strings_are_those_of_sysfs_and_missing_ones_are_empty(tmp_path: Path) -> None:
    where = place(tmp_path)
    where.folder.mkdir()
    for name, text in (("idVendor", "1D6B\n"), ("idProduct", "0102\n"), ("product", "K\u00fcche \u2116 1\n")):
        (where.folder / name).write_text(text, encoding="utf-8")
    assert await UsbReader().strings_of([where]) == {
        where: UsbDevice("1d6b", "0102", "K\u00fcche \u2116 1", "", "1-1:1.0")
    }


async def test_twenty_devices_are_asked_at_once(tmp_path: Path) -> None:
    """Each answers only when all have been asked."""
    places = [place(tmp_path, number) for number in range(20)]
    all_asked = threading.Barrier(20)

    def read(where: UsbPlace) -> UsbDevice:
        all_asked.wait(20)
        return device(where)

    assert (await UsbReader(read, 30).strings_of(places)).keys() == set(places)


async def test_one_that_hangs_holds_up_no_other_and_has_one_thread(tmp_path: Path) -> None:
    good, hanging = place(tmp_path, 1), place(tmp_path, 2)
    asked: list[UsbPlace] = []
    answers = threading.Event()

    def read(where: UsbPlace) -> UsbDevice:
        asked.append(where)
        if where == hanging:
            answers.wait(20)
        return device(where)

    reader = UsbReader(read, 0.1)
    try:
        for _ in range(3):
            assert (await reader.strings_of([good, hanging])).keys() == {good}
    finally:
        answers.set()
    assert sorted(each.folder.name for each in asked) == ["1-1", "1-2"]
    with anyio.fail_after(20):
        while len(await reader.strings_of([good, hanging])) < 2:
            await anyio.sleep(0.01)


async def test_a_device_that_came_back_is_asked_again(tmp_path: Path) -> None:
    asked: list[UsbPlace] = []

    def read(where: UsbPlace) -> UsbDevice:
        asked.append(where)
        return device(where)

    reader = UsbReader(read)
    for incarnation in (1, 1, 2, 2):
        await reader.strings_of([place(tmp_path, 1, incarnation)])
    assert [each.incarnation for each in asked] == [1, 2]


async def test_a_device_that_is_gone_is_left_out(tmp_path: Path) -> None:
    def read(where: UsbPlace) -> UsbDevice:
        raise OSError(19, where.interface)

    assert await UsbReader(read).strings_of([place(tmp_path)]) == {}
