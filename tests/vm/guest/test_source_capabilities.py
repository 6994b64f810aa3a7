"""Capabilities read by the probe, compared with v4l2-ctl's output."""

import os
import re
from pathlib import Path

import anyio
import pytest

from tests.vm.cameras.layout import Continuous, FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.listing import Rates, controls_of, formats_of
from tests.vm.guest.vivid import LoadVivid
from v4l2_tier.device.capabilities import Capabilities, Intervals, Span
from v4l2_tier.device.probe import NoCamera, probe

LAYOUTS = {
    "usual": Layout(),
    "odd rates": Layout(
        mjpeg=(FrameSize(640, 480, (30, 29, 7)),), yuyv=(FrameSize(320, 240, (1,)), FrameSize(160, 120))
    ),
    "said twice": Layout(
        mjpeg=(
            FrameSize(640, 480, (30, 30, 15)),
            FrameSize(640, 480, (30, 30, 15)),
            FrameSize(320, 240, (5,)),
        )
    ),
    "coded": Layout(
        yuyv=(), h264=(FrameSize(640, 480, (30, 15)), FrameSize(320, 240)), hevc=(FrameSize(320, 240),)
    ),
    "continuous": Layout(mjpeg=(FrameSize(640, 480, Continuous(5, 30)),), yuyv=()),
}


async def usable(node: Path) -> Path:
    """Wait until udev has granted access, and return the node; after a reload, an old entry may remain for a moment."""
    with anyio.fail_after(60):
        while not os.access(node, os.R_OK | os.W_OK):
            await anyio.sleep(0.05)
    return node


def read(node: Path) -> Capabilities:
    found = probe(node)
    assert isinstance(found, Capabilities)
    return found


def as_listed(capabilities: Capabilities) -> Rates:
    """Return the formats in v4l2-ctl's notation, with rates as the time between frames and three decimals."""
    found: Rates = {}
    for each in capabilities.formats:
        sizes = found.setdefault(each.code, {})
        for size in each.sizes:
            sizes.setdefault(size_words(size.width, size.height), []).extend(map(rate_words, size.intervals))
    return found


def size_words(width: Span, height: Span) -> str:
    if width.minimum == width.maximum:
        return f"{width.minimum}x{height.minimum}"
    return f"{width.minimum}x{height.minimum} - {width.maximum}x{height.maximum}"


def rate_words(rate: Intervals) -> str:
    shortest, longest = rate.shortest, rate.longest
    if shortest == longest:
        return f"{float(shortest):.3f}s ({float(1 / shortest):.3f} fps)"
    ends = f"{float(shortest):.3f}s - {float(longest):.3f}s"
    step = f" with step {float(rate.step):.3f}s" if rate.step else ""
    return f"{ends}{step} ({float(1 / longest):.3f}-{float(1 / shortest):.3f} fps)"


@pytest.mark.parametrize("name", LAYOUTS)
async def test_formats_sizes_and_rates_of_a_webcam(webcam: PlugWebcam, name: str) -> None:
    async with webcam(LAYOUTS[name]) as camera:
        assert as_listed(read(camera.node)) == await formats_of(camera.node)


async def test_formats_sizes_and_rates_of_vivid(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,):
        capabilities = read(await usable(camera.node))
        assert as_listed(capabilities) == await formats_of(camera.node)
    assert capabilities.bus_info == camera.bus_info
    assert len(capabilities.formats) > 70  # all of them, with overlay or not


async def compare_controls(node: Path) -> None:
    listed = await controls_of(node)
    found = {each.name: each for each in read(node).controls if not each.unsettable}
    kinds = {"int": "integer", "bool": "boolean", "menu": "menu", "intmenu": "integer_menu"}
    kinds |= {"int64": "integer64", "bitmask": "bitmask", "button": "button"}
    # Arrays have the kind of their elements, but are not image controls.
    wanted = {name: each for name, each in listed.items() if each["kind"] in kinds and "dims" not in each}
    assert found.keys() == wanted.keys()
    for name, each in wanted.items():
        control = found[name]
        assert control.kind == kinds[each["kind"]]
        for ours, theirs in (
            ("minimum", "min"),
            ("maximum", "max"),
            ("step", "step"),
            ("default", "default"),
        ):
            if theirs in each and not each[theirs].startswith("0x"):
                assert getattr(control, ours) == int(each[theirs]), (name, ours)
        if re.fullmatch(r"-?\d+", each.get("value", "")) and "volatile" not in each.get("flags", ""):
            # v4l2-ctl prints the highest bit of a bitmask as a sign.
            value = int(each["value"]) & 0xFFFFFFFF if control.kind == "bitmask" else int(each["value"])
            assert control.value == value, name
        assert control.inactive == ("inactive" in each.get("flags", "")), name
        menu = {number: label for number, label in each.items() if re.fullmatch(r"-?\d+", number)}
        assert [str(number) for number, _ in control.choices] == [*menu], name
        if control.kind == "menu":
            assert [label for _, label in control.choices] == [*menu.values()], name


async def test_controls_of_a_webcam(webcam: PlugWebcam) -> None:
    async with webcam() as camera:
        await compare_controls(camera.node)


async def test_controls_of_vivid(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,):
        await compare_controls(await usable(camera.node))


async def test_a_metadata_node_is_no_camera(webcam: PlugWebcam) -> None:
    async with webcam() as camera:
        assert isinstance(probe(camera.metadata_node), NoCamera)


async def test_the_drivers_own_default_is_a_camera_too(vivid: LoadVivid) -> None:
    """Four inputs of all kinds, a tuner and sound; an overlay too if the kernel has it."""
    async with vivid(1, num_inputs=4, input_types=0xE4) as (camera,):
        assert isinstance(probe(await usable(camera.node)), Capabilities)
