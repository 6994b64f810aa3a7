"""Process with many bridges over stub controllers, which obeys commands on its standard input.

python -m bench.fleet_scale_worker FIRST COUNT PORT FOLDER

Commands and answers are JSON, one a line. The answer to the first one, `memory`, tells the memory before any bridge exists.
"""

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

from bench.agents import memory_kb
from bench.fleet_scale_stub import Stub, boxes, raise_descriptor_limit, stubs
from mqtt_bridge.component import MqttBridge
from mqtt_bridge.settings import MqttBridgeSettings

#: File with the answers of a real agent.
ANSWERS = "answers.json"


@dataclass
class Worker:
    """The stubs of this process, and what runs their bridges."""

    stubs: list[Stub]
    port: int
    tasks: anyio.abc.TaskGroup

    def start(self, spread_s: float) -> None:
        """Let all bridges connect at once; after a loss they come back within `spread_s`."""
        for stub in self.stubs:
            settings = MqttBridgeSettings(
                url=f"mqtt://127.0.0.1:{self.port}",
                agent_id=stub.box.agent,
                labels={"site": "bench"},
                reconnect_spread_s=spread_s,
            )
            self.tasks.start_soon(MqttBridge(stub.context, settings).run)

    def publish(self, count: int) -> None:
        """Publish events of the first agent."""
        for number in range(count):
            self.stubs[0].publish(number)

    def obey(self, command: str, value: float) -> object:
        """Carry out a command, and return the answer."""
        if command == "start":
            self.start(value)
        elif command == "publish":
            self.publish(int(value))
        return {"memory_kb": memory_kb(os.getpid())[1]}


async def main(first: int, count: int, port: int, folder: Path) -> None:
    """Obey commands until the standard input ends."""
    raise_descriptor_limit()
    logging.disable(logging.WARNING)  # a line of each bridge when the broker is lost
    made = stubs(boxes(range(first, first + count)), folder / ANSWERS, folder)
    async with anyio.create_task_group() as tasks:
        worker = Worker(made, port, tasks)
        async for line in anyio.wrap_file(sys.stdin):
            given = json.loads(line)
            answer = worker.obey(given["do"], given["value"])
            print(json.dumps(answer), flush=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
