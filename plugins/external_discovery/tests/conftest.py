"""Fixtures for tests on networks of their own; see `network/README.md`."""

from collections.abc import Iterator
from functools import cache

import pytest

from tests.e2e.conftest import agent_process

from .network.clips import Clips
from .network.lan import Network, running_network
from .network.namespaces import why_unavailable

#: A fixture of the agent's own tests.
__all__ = ("agent_process",)


@cache
def _why_not() -> str | None:
    return why_unavailable()


@pytest.fixture
def _namespaces() -> None:
    """Skip where there can be no networks of the test's own."""
    reason = _why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def network(_namespaces: None) -> Iterator[Network]:
    """A network without a way out, with this process on the agent's host; skips where there can be none.

    Its end fails the test if the agent's host sent a packet to an address outside the network, unless the test took
    those by `Network.strays`.
    """
    with running_network() as running:
        yield running
        strays = running.strays()
    assert not strays, "packets left the network"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Files for cameras to send."""
    return Clips(tmp_path_factory.mktemp("clips"))
