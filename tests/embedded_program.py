"""The embedded media server as a program: API_PORT RTSP_PORT FOLDER. Says so on standard output when it listens."""

import sys

import anyio

from agent_core.clock import SystemClock
from embedded_server import EmbeddedServerSettings, serving


async def _serve(api_port: int, rtsp_port: int, folder: str) -> None:
    settings = EmbeddedServerSettings(
        api_port=api_port,
        rtsp_port=rtsp_port,
        record_path=f"{folder}/recordings/%path/%Y-%m-%d_%H-%M-%S-%f",
    )
    async with serving(settings, SystemClock()) as server:
        await server.wait_endpoints()
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
