"""Large modules are imported with the first frame, so that the idle agent stays small."""

import sys

import anyio

PROGRAM = """
import sys
import v4l2_tier.capture.producer
print(*sorted({"linuxpy", "numpy", "simplejpeg"} & sys.modules.keys()))
"""


async def test_nothing_large_is_imported_before_a_camera_is_used() -> None:
    done = await anyio.run_process([sys.executable, "-c", PROGRAM])
    assert done.stdout.decode().split() == []
