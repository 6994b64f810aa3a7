"""A container that has udev's folder and a network of its own: no event arrives there, and cameras are noticed all the same."""

import subprocess
import sys

import anyio
from anyio.streams.text import TextReceiveStream

from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.sources import LIMIT_S


async def test_plug_and_unplug_are_noticed_where_no_event_arrives(webcam: PlugWebcam) -> None:
    program = (sys.executable, "-m", "tests.vm.guest.in_container")
    argv = ("unshare", "--user", "--map-root-user", "--net", *program)
    async with await anyio.open_process(argv, stdout=subprocess.PIPE, stderr=None) as process:
        assert process.stdout is not None
        lines = TextReceiveStream(process.stdout)
        with anyio.fail_after(3 * LIMIT_S):
            assert (await lines.receive()).split() == ["watching"]
            async with webcam():
                assert (await lines.receive()).split() == ["connected"]
            assert (await lines.receive()).split() == ["gone"]
            assert await process.wait() == 0
