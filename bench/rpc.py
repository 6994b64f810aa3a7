"""CPU of one get_camera_list compared with a bare echo on the same stack, in one run. Prints a ratio (aim: at most 2).

scripts/bench rpc [calls]
"""

import json
import socket
import sys
from collections.abc import Awaitable, Callable

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from agent_core.auth.roles import Role
from bench.agents import agent_process, connected, cpu_s, spread

ROUNDS = 9
PLUGINS = """
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
cameras = [{cameras}]
"""


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


async def compare(calls: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    echo_process = await anyio.open_process([sys.executable, __file__, "--echo", str(port)], stderr=None)
    cameras = ", ".join(f'{{name = "Camera {number}"}}' for number in range(8))
    async with agent_process(PLUGINS.format(cameras=cameras)) as agent:
        agent_ws = await connected(agent.url)
        echo_ws = await connected(f"ws://127.0.0.1:{port}/ws")
        await call(agent_ws, "authenticate", auth_token=agent.token(Role.VIEWER))
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
        print(f"  ratio {spread(ratios)}; aim <= 2")
        await agent_ws.close()
        await echo_ws.close()
        echo_process.kill()
        await echo_process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--echo"]:
        serve_echo(int(sys.argv[2]))
    else:
        anyio.run(compare, int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
