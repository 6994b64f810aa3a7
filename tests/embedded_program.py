"""The embedded media server as a program: API_PORT RTSP_PORT FOLDER [legacy]; prints both ports when it listens.

SIGHUP makes it forget its paths, as MediaMTX does when its configuration file changes.
"""

import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio

from agent_core.base.clock import SystemClock
from agent_core.plugin.rtsp import Credentials
from embedded_server import EmbeddedServerSettings, serving

#: The same after a restart, as an external media server's are.
CREDENTIALS = Credentials("camera-agent", "of-a-test")


async def _serve(api_port: int, rtsp_port: int, folder: str, *, legacy: bool) -> None:
    settings = EmbeddedServerSettings(
        api_port=api_port,
        rtsp_port=rtsp_port,
        legacy="1.15.4" if legacy else None,
        record_path=f"{folder}/recordings/%path/%Y-%m-%d_%H-%M-%S-%f",
    )
    # The agents of tests have their folders of recordings there.
    anywhere = Path(tempfile.gettempdir())
    async with serving(settings, SystemClock(), recordings=anywhere, credentials=CREDENTIALS) as server:
        at = await server.wait_endpoints()
        with anyio.open_signal_receiver(signal.SIGHUP) as reloads:
            sys.stdout.write(f"{at.api_port} {at.rtsp_port}\n")
            sys.stdout.flush()
            async for _ in reloads:
                server.forget_paths()


if __name__ == "__main__":
    legacy = "legacy" in sys.argv[4:]
    anyio.run(partial(_serve, int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], legacy=legacy))
