"""Prefixes that the agent remembers, so that it clears its descriptions below former ones."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.testing import SimulatedClock
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.home_assistant.prefixes import DescribedPrefixes

FILE = "mqtt_bridge_home_assistant.json"


class NoBroker:
    packet_bytes = 1 << 20

    async def publish(self, message: Outgoing) -> None:
        raise AssertionError(message)


@asynccontextmanager
async def started(folder: Path, current: str | None, clock: SimulatedClock) -> AsyncIterator[list[str]]:
    """Run the memory with a connection; gives the prefixes that are to be cleared of what is not wanted."""
    owned: list[str] = []
    prefixes = DescribedPrefixes(folder, current, owned.append, clock=clock)
    async with anyio.create_task_group() as tasks:
        await tasks.start(prefixes.run)
        tasks.start_soon(prefixes.online, NoBroker())
        yield owned
        tasks.cancel_scope.cancel()


def remembered(folder: Path) -> list[str] | None:
    path = folder / FILE
    return json.loads(path.read_text())["prefixes"] if path.exists() else None


async def test_an_agent_that_was_never_described_owns_nothing(tmp_path: Path) -> None:
    async with started(tmp_path, None, SimulatedClock()) as owned:
        assert owned == []
    assert remembered(tmp_path) is None


async def test_the_prefix_is_stored_before_anything_is_described(tmp_path: Path) -> None:
    async with started(tmp_path, "homeassistant", SimulatedClock()) as owned:
        assert owned == ["homeassistant"]
        assert remembered(tmp_path) == ["homeassistant"]


async def test_a_former_prefix_is_cleared_and_forgotten_after_a_long_connection(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with started(tmp_path, "old", clock):
        pass
    async with started(tmp_path, "new", clock) as owned:
        assert owned == ["new", "old"]
        await clock.advance(10)
        assert remembered(tmp_path) == ["new", "old"]
    async with started(tmp_path, "new", clock) as owned:
        assert owned == ["new", "old"]
        await clock.advance(100)
        await eventually(lambda: _is(tmp_path, ["new"]))


async def test_switched_off_it_is_cleared_and_forgotten(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with started(tmp_path, "old", clock):
        pass
    async with started(tmp_path, None, clock) as owned:
        assert owned == ["old"]
        await clock.advance(100)
        await eventually(lambda: _is(tmp_path, None))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"prefixes": 3}', b'{"prefixes": [3]}', b"\xff"])
async def test_a_damaged_file_is_made_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    async with started(tmp_path, "homeassistant", SimulatedClock()) as owned:
        assert owned == ["homeassistant"]
    assert remembered(tmp_path) == ["homeassistant"]
    assert "damaged" in caplog.text


async def test_a_file_of_a_later_version_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = b'{"version": 2, "places": ["x"]}'
    (tmp_path / FILE).write_bytes(content)
    async with started(tmp_path, "homeassistant", SimulatedClock()) as owned:
        assert owned == ["homeassistant"]
    assert (tmp_path / FILE).read_bytes() == content
    assert "later version" in caplog.text


async def test_wildcards_in_the_file_are_ignored(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"version": 1, "prefixes": ["#", "a/+", "", "old"]}))
    async with started(tmp_path, "homeassistant", SimulatedClock()) as owned:
        assert owned == ["homeassistant", "old"]


async def _is(folder: Path, expected: list[str] | None) -> bool:
    return remembered(folder) == expected
