"""The methods about API keys, while the disk stalls."""

import threading
from pathlib import Path

import anyio
import anyio.to_thread

from agent_core.api.keys import key_methods
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.stored_keys import ApiKey
from agent_core.base.clock import SystemClock
from tests.toy_server import Toy


class StalledKeys(ApiKeys):
    """Keys on a disk that stalls until `goes_on`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SystemClock())
        self.is_stalled, self.goes_on = threading.Event(), threading.Event()

    def stored(self) -> tuple[ApiKey, ...]:
        self.is_stalled.set()
        self.goes_on.wait(60)
        return super().stored()


async def test_a_connection_ends_although_its_list_of_keys_stalls(tmp_path: Path) -> None:
    """Or the end of the agent would wait for the disk."""
    toy, keys = Toy(tmp_path / "state"), StalledKeys(tmp_path / "api-keys.json")
    for method in key_methods(keys, toy.files.changing, over_network=False):
        toy.table.add(method)
    async with toy.peer() as peer:
        try:
            await peer.result("authenticate", auth_token=toy.token())
            await peer.post(1, "list_api_keys")
            assert await anyio.to_thread.run_sync(keys.is_stalled.wait, 30)
            await peer.close()
            with anyio.fail_after(20):
                await peer.ended.wait()
        finally:
            keys.goes_on.set()
