"""The embedded media server as a camera: PORT FOLDER METHODS PATH...; it listens at every address.

`METHODS` are `none`, or authentication methods separated by commas; the user is `USER` of `cameras`.
"""

import sys
from pathlib import Path

import anyio
import httpx

from agent_core.base.clock import SystemClock
from agent_core.plugin.rtsp import Credentials
from embedded_server import EmbeddedServerSettings, serving
from plugins.external_discovery.tests.network.cameras import USER


async def _serve(port: int, folder: str, methods: str, paths: list[str]) -> None:
    has_password = methods != "none"
    user = {"name": USER.user, "password": USER.password, "actions": ["read"]}
    settings = EmbeddedServerSettings.model_validate(
        {
            "host": "::",
            "api_port": 0,
            "rtsp_port": port,
            "record_path": f"{folder}/recordings/%path/%Y-%m-%d_%H-%M-%S-%f",
            "users": [user] if has_password else [],
            "rtsp_auth_methods": methods.split(",") if has_password else ["basic"],
        }
    )
    own = Credentials("camera", "of-a-test")
    async with serving(settings, SystemClock(), recordings=Path(folder), credentials=own) as server:
        at = await server.wait_endpoints()
        address = f"http://127.0.0.1:{at.api_port}"
        async with httpx.AsyncClient(auth=(own.user, own.password), timeout=30) as client:
            for path in paths:
                answer = await client.post(f"{address}/v3/config/paths/add/{path}", json={})
                answer.raise_for_status()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
