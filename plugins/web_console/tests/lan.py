"""The agent's computer and the browser's, at addresses that browsers call insecure."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from plugins.external_discovery.tests.network.lan import Host, running_network
from plugins.external_discovery.tests.network.namespaces import why_unavailable

__all__ = ("Lan", "running_lan")


@dataclass(frozen=True, slots=True)
class Lan:
    """Address of the agent that is not loopback, and the computers; None where there are no namespaces."""

    address: str
    agent: Host | None = None
    laptop: Host | None = None


@contextmanager
def running_lan() -> Iterator[Lan]:
    """Two computers at a wire, this process on the agent's; without namespaces this host's own address."""
    if why_unavailable() is not None:
        yield Lan(_own_address())
        return
    with running_network() as network:
        laptop = network.add_host("laptop")
        yield Lan(str(network.agent.v4), network.agent, laptop)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this host has no address but loopback, and makes no namespaces")
        return str(probe.getsockname()[0])
