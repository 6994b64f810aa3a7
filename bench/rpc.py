"""CPU of one get_camera_list against a bare echo on the same stack, in one run. Prints a ratio (aim: at most 2).

.venv/bin/python bench/rpc.py [calls]
"""

import json
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import uvicorn
from anyio.abc import Process
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from agent_core.clock import SystemClock
from agent_core.rpc.auth import Secret, TokenAuthority
from agent_core.rpc.roles import Role

ROUNDS = 9
CONFIG = """
[server]
port = 0
[auth]
calls_per_s = 1e9
calls_burst = 1000000000
[storage]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
cameras = [{cameras}]
"""


def cpu_s(pid: int) -> float:
    """CPU of all threads, in nanoseconds' resolution: a tick of /proc/PID/stat is a hundred calls."""
    clock_of_process = (~pid << 3) | 2  # clock_getcpuclockid(3), which Python does not have
    return time.clock_gettime(clock_of_process)


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnect:
        return


def serve_echo(port: int) -> None:
    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    uvicorn.run(app, port=port, ws="websockets-sansio", ws_per_message_deflate=False, log_level="error")


async def call(ws: ClientConnection, method: str, **params: object) -> str:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return str(await ws.recv())


async def cost_us(pid: int, calls: int, one: Callable[[], Awaitable[object]]) -> float:
    before_s = cpu_s(pid)
    for _ in range(calls):
        await one()
    return (cpu_s(pid) - before_s) / calls * 1e6


async def started(folder: Path) -> tuple[Process, str]:
    cameras = ", ".join(f'{{name = "Camera {number}"}}' for number in range(8))
    (folder / "config.toml").write_text(CONFIG.format(folder=folder, cameras=cameras))
    process = await anyio.open_process(
        [sys.executable, "-m", "agent_core", "run", "--config", str(folder / "config.toml")], stderr=None
    )
    endpoint = folder / "state/endpoint.json"
    while not endpoint.exists():
        await anyio.sleep(0.05)
    return process, json.loads(endpoint.read_text())["url"]


async def connected(url: str) -> ClientConnection:
    while True:
        try:
            return await connect(url, compression=None)
        except OSError:
            await anyio.sleep(0.05)


async def compare(calls: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    echo_process = await anyio.open_process([sys.executable, __file__, "--echo", str(port)], stderr=None)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        agent, url = await started(folder)
        token = TokenAuthority(Secret.load(folder / "state/secret"), SystemClock())
        agent_ws = await connected(url)
        echo_ws = await connected(f"ws://127.0.0.1:{port}/ws")
        await call(agent_ws, "authenticate", auth_token=token.create("bench", Role.VIEWER, 3600))
        reply = await call(agent_ws, "get_camera_list")

        async def echo_once() -> None:
            await echo_ws.send(reply)
            await echo_ws.recv()

        ratios = []
        for _ in range(ROUNDS):
            bare_us = await cost_us(echo_process.pid, calls, echo_once)
            list_us = await cost_us(agent.pid, calls, lambda: call(agent_ws, "get_camera_list"))
            ratios.append(list_us / bare_us)
        print(
            f"get_camera_list of 8 cameras ({len(reply)} bytes) / echo of the same reply, CPU of the server:"
        )
        print(
            f"  ratio {statistics.median(ratios):.2f}  (min {min(ratios):.2f}, max {max(ratios):.2f}; aim <= 2)"
        )
        await agent_ws.close()
        await echo_ws.close()
        agent.terminate()
        echo_process.kill()
        await agent.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--echo"]:
        serve_echo(int(sys.argv[2]))
    else:
        anyio.run(compare, int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
