"""One client of a fleet that calls each agent, signed: the Python client, as an operator's program uses it.

Apart from `fleet_scale`, so that the phases there are one page.
"""

import time
from dataclasses import dataclass, field

from bench.fleet_scale_meter import PREFIX
from bench.fleet_scale_stub import FLEET_KEY
from mqtt_bridge.client import FleetClient

__all__ = ("METHOD", "Replies", "call_all")

#: Method that each agent is called with.
METHOD = "get_camera_list"
_DEADLINE_S = 30.0


@dataclass
class Replies:
    """Replies that have come.

    Attributes:
        agents: agents that the client has found.
        good: replies with a result and the right signature.
        errors: agents' errors, and the client's for those that did not answer.
        found_s, answered_s: time until all agents were found, and from then until all calls had ended.
        cpu_s: CPU time of this process from then on, with that of the watch.
    """

    agents: int = 0
    good: int = 0
    errors: list[str] = field(default_factory=list)
    found_s: float = 0.0
    answered_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.good / self.answered_s if self.answered_s else 0.0


async def call_all(port: int) -> Replies:
    """Find all agents and call each once."""
    replies = Replies()
    async with FleetClient(f"mqtt://127.0.0.1:{port}", fleet_key=FLEET_KEY, prefix=PREFIX) as fleet:
        began_s = time.perf_counter()
        agents = await fleet.agents()
        replies.agents, replies.found_s = len(agents), time.perf_counter() - began_s
        began_s, cpu_s = time.perf_counter(), time.process_time()
        async for answer in fleet.call_many(agents, METHOD, deadline_s=_DEADLINE_S):
            if answer.error is None:
                replies.good += 1
            else:
                replies.errors.append(answer.error.details)
        replies.answered_s, replies.cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return replies
