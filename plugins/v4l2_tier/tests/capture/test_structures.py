"""The structures and numbers of system calls that linuxpy has, compared with the kernel's own header."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from linuxpy.video import raw

from v4l2_tier.device import standards

HEADER = Path("/usr/include/linux/videodev2.h")
STRUCTURES = {
    "v4l2_input": ("index", "name", "type", "std", "status", "capabilities"),
    "v4l2_bt_timings": (
        *("width", "height", "interlaced", "pixelclock", "hfrontporch", "hsync", "hbackporch"),
        *("vfrontporch", "vsync", "vbackporch", "il_vfrontporch", "il_vsync", "il_vbackporch"),
    ),
    "v4l2_dv_timings": ("type",),
    "v4l2_event": ("type",),
    "v4l2_event_subscription": ("type", "id", "flags"),
}
CALLS = (
    *("ENUMINPUT", "G_INPUT", "S_INPUT", "G_STD", "S_STD", "QUERYSTD"),
    *("G_DV_TIMINGS", "S_DV_TIMINGS", "QUERY_DV_TIMINGS", "SUBSCRIBE_EVENT", "DQEVENT"),
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return what a C program says of sizes, offsets and numbers."""
    compiler = shutil.which("cc")
    if compiler is None or not HEADER.exists():
        pytest.skip("needs a C compiler and the kernel's headers (linux-libc-dev)")
    asked = [f"sizeof(struct {name})" for name in STRUCTURES]
    asked += [f"offsetof(struct {name}, {field})" for name, fields in STRUCTURES.items() for field in fields]
    asked += [f"VIDIOC_{name}" for name in CALLS] + ["offsetof(struct v4l2_dv_timings, bt)"]
    asked += [f"V4L2_STD_{each}" for each in names_of_standards()]
    lines = "".join(f'printf("%s=%llu\\n", "{each}", (unsigned long long)({each}));' for each in asked)
    folder = tmp_path_factory.mktemp("c")
    (folder / "ask.c").write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {{ {lines} }}\n"
    )
    subprocess.run([compiler, "-o", folder / "ask", folder / "ask.c"], check=True)
    output = subprocess.run([folder / "ask"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, _, value in (line.partition("=") for line in output.splitlines())}


def names_of_standards() -> dict[str, int]:
    return {
        name.upper().replace("-NC", "-Nc").replace("-LC", "-LC").replace("-", "_"): value
        for name, value in standards.STANDARDS.items()
    }


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_the_kernels(told: dict[str, int], name: str) -> None:
    structure = getattr(raw, name)
    assert ctypes.sizeof(structure) == told[f"sizeof(struct {name})"]
    for field in STRUCTURES[name]:
        assert getattr(structure, field).offset == told[f"offsetof(struct {name}, {field})"], field


def test_timings_are_where_the_kernel_has_them(told: dict[str, int]) -> None:
    assert raw.v4l2_dv_timings.m1.offset == told["offsetof(struct v4l2_dv_timings, bt)"]
    assert raw.v4l2_dv_timings.M1.bt.offset == 0


@pytest.mark.parametrize("name", CALLS)
def test_calls_have_the_kernels_numbers(told: dict[str, int], name: str) -> None:
    assert raw.IOC[name].value & 0xFFFFFFFF == told[f"VIDIOC_{name}"]


def test_standards_are_the_kernels(told: dict[str, int]) -> None:
    for name, value in names_of_standards().items():
        assert value == told[f"V4L2_STD_{name}"], name
