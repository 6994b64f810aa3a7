"""Wire between the agent and its broker, which can be unplugged or made slow: packets are lost, no socket is closed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from plugins.external_discovery.tests.network.namespaces import Namespace, why_unavailable

__all__ = ("Wire", "wired")


@dataclass(frozen=True, slots=True)
class Wire:
    """Agent's and broker's hosts; this process is on the agent's."""

    broker: Namespace
    broker_address: str = "192.0.2.2"

    def unplug(self) -> None:
        """Lose every packet, both ways, and tell neither end."""
        rules = (
            "add table inet cut",
            "add chain inet cut in { type filter hook input priority 0; policy drop; }",
            "add chain inet cut out { type filter hook output priority 0; policy drop; }",
        )
        self._filter("; ".join(rules))

    def plug(self) -> None:
        self._filter("delete table inet cut")

    def slow_down(self, kbit_per_s: int) -> None:
        """Limit the rate at which the broker's host receives."""
        rate = f"{kbit_per_s}kbit"
        subprocess.run(
            [
                "tc",
                "qdisc",
                "replace",
                "dev",
                "wire0",
                "root",
                "tbf",
                "rate",
                rate,
                "burst",
                "5kb",
                "latency",
                "500ms",
            ],
            check=True,
            capture_output=True,
        )

    def _filter(self, rules: str) -> None:
        subprocess.run(self.broker.command("nft", rules), check=True, capture_output=True)


@contextmanager
def wired() -> Iterator[Wire]:
    """Make the hosts, and move this thread to the agent's; skips where there can be none."""
    reason = why_unavailable()
    if reason is None and not (shutil.which("nft") and shutil.which("tc")):
        reason = "packets are dropped by nft and slowed down by tc"
    if reason is not None:
        pytest.skip(reason)
    with Namespace() as agent, Namespace() as broker, agent.entered():
        agent.ip(f"link add wire0 type veth peer name wire1 netns {broker.path}")
        agent.ip("addr add 192.0.2.1/24 dev wire0", "link set wire0 up")
        broker.ip("addr add 192.0.2.2/24 dev wire1", "link set wire1 up")
        yield Wire(broker)
