"""Program that watches for cameras in namespaces of its own, and prints each change; see `test_source_container`."""

import anyio

from tests.vm.guest.sources import watching


async def main() -> None:
    async with watching(reconcile_s=3600) as seen:
        print("watching", flush=True)  # noqa: T201 - read by the test
        await seen.until_connected(1)
        print("connected", flush=True)  # noqa: T201 - as above
        await seen.until_connected(0)
        print("gone", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    anyio.run(main)
