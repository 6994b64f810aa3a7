"""Program for namespaces of its own: prints what it notices of cameras there; see `test_source_container`."""

import json
import sys
from typing import Any

import anyio

from tests.vm.guest.sources import watching


async def watch() -> None:
    """Print each change, until a camera has come and gone."""
    async with watching(reconcile_s=3600) as seen:
        print("watching", flush=True)  # noqa: T201 - read by the test
        await seen.until_connected(1)
        print("connected", flush=True)  # noqa: T201 - as above
        await seen.until_connected(0)
        print("gone", flush=True)  # noqa: T201 - as above


async def show(count: int, settings: dict[str, Any]) -> None:
    """Print the name, id, serial number and picture's width of each of `count` cameras, then wait until one has gone."""
    async with watching(reconcile_s=3600, **settings) as seen:
        for camera in await seen.until_connected(count):
            assert camera.frames is not None
            with anyio.fail_after(60):
                frame = await camera.frames.fresh(seen.clock.monotonic_s())
            serial = camera.detected.fingerprint.serial
            print(json.dumps([camera.name, camera.id, serial, frame.width]), flush=True)  # noqa: T201 - as above
        await seen.until_connected(count - 1)
        print("gone", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["watch"]:
            anyio.run(watch)
        case ["show", count, settings]:
            anyio.run(show, int(count), json.loads(settings))
