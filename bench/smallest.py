"""Minimal echo server on the agent's stack (anyio, uvicorn, websockets): the lower bound for an agent.

python bench/smallest.py FILE

It listens on a free port and then writes the port to FILE.
"""

import sys
from pathlib import Path
from typing import Any

import anyio
import uvicorn


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def serve(file: Path) -> None:
    config = uvicorn.Config(
        echo, port=0, ws="websockets-sansio", ws_per_message_deflate=False, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tg:
        tg.start_soon(server.serve)
        while not server.started:
            await anyio.sleep(0.001)
        file.write_text(str(server.servers[0].sockets[0].getsockname()[1]))


if __name__ == "__main__":
    anyio.run(serve, Path(sys.argv[1]))
