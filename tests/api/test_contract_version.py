"""The contract against that of the last release, and the judgement of single changes."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_core.testing import document_of
from tests.contract_changes import changes, complaints, essence

SNAPSHOT = Path(__file__).parents[1] / "fixtures/contract.json"
LAST = json.loads(SNAPSHOT.read_text())


async def test_the_version_suits_the_changes_since_the_last_release() -> None:
    now = essence(await document_of())
    assert complaints(LAST, now, is_released=LAST["released"]) == []


def test_the_snapshot_is_small() -> None:
    assert SNAPSHOT.stat().st_size < 100_000


def changed(change: Callable[[Any], object]) -> Any:
    other = copy.deepcopy(LAST)
    change(other)
    return other


def result(name: str) -> Callable[[Any], Any]:
    return lambda contract: contract["methods"][name]["result"]["properties"]


def params(name: str) -> Callable[[Any], Any]:
    return lambda contract: contract["methods"][name]["params"]


STATUS, TAKE, EVENT = result("get_status"), params("take_snapshot"), "recording.stop"

BREAKING: dict[str, Callable[[Any], object]] = {
    "a method removed": lambda it: it["methods"].pop("ping"),
    "a member removed": lambda it: STATUS(it).pop("uptime"),
    "a member of an event removed": lambda it: it["events"][EVENT]["params"]["properties"].pop("filename"),
    "a member of a nested result removed": lambda it: STATUS(it)["checks"]["items"]["properties"].pop("name"),
    "a member no longer always sent": lambda it: it["methods"]["get_status"]["result"]["required"].remove(
        "uptime"
    ),
    "a member of another type": lambda it: STATUS(it).update(uptime={"type": "string"}),
    "a member that may be null": lambda it: STATUS(it).update(
        uptime={"anyOf": [{"type": "number"}, {"type": "null"}]}
    ),
    "an integer that becomes a number": lambda it: result("get_storage_info")(it).update(
        total_space={"type": "number"}
    ),
    "a word that becomes any text": lambda it: STATUS(it).update(status={"type": "string"}),
    "a parameter removed": lambda it: TAKE(it)["properties"].pop("width"),
    "a new required parameter": lambda it: (
        TAKE(it)["properties"].update(more={"type": "string"}),
        TAKE(it)["required"].append("more"),
    ),
    "a parameter now required": lambda it: TAKE(it)["required"].append("format"),
    "a format no longer accepted": lambda it: TAKE(it)["properties"]["format"]["enum"].remove("png"),
    "a narrower limit": lambda it: params("list_snapshots")(it)["properties"]["limit"].update(maximum=10),
    "another pattern": lambda it: TAKE(it)["properties"]["device"].update(pattern="^x$"),
    "a higher role": lambda it: it["methods"]["get_camera_list"].update(role="admin"),
    "no array of params any more": lambda it: it["methods"]["get_status"].update(by_position=False),
    "params in another order": lambda it: TAKE(it).update(
        properties=dict(reversed(TAKE(it)["properties"].items()))
    ),
    "a topic removed": lambda it: it["events"][EVENT]["topics"].remove("recording.stopped"),
    "an event removed": lambda it: it["events"].pop(EVENT),
}

ADDITIONS: dict[str, Callable[[Any], object]] = {
    "a method": lambda it: it["methods"].update(more=it["methods"]["ping"]),
    "a member": lambda it: STATUS(it).update(more={"type": "string"}),
    "an optional parameter": lambda it: TAKE(it)["properties"].update(more={"type": "string"}),
    "a word in a result": lambda it: STATUS(it)["status"]["enum"].append("SLEEPING"),
    "a word in a parameter": lambda it: TAKE(it)["properties"]["format"]["enum"].append("webp"),
    "a parameter that may be left out": lambda it: TAKE(it)["required"].remove("device"),
    "a wider limit": lambda it: params("list_snapshots")(it)["properties"]["limit"].update(maximum=5000),
    "a lower role": lambda it: it["methods"]["take_snapshot"].update(role="viewer"),
    "an error code": lambda it: it["methods"]["get_status"]["codes"].append(-32050),
    "a deprecated method": lambda it: it["methods"]["ping"].update(deprecated=True),
    "a topic": lambda it: it["events"][EVENT]["topics"].append("recording.ended"),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_needs_a_new_major(change: Callable[[Any], object]) -> None:
    other = changed(change)
    assert "breaking" in [each.kind for each in changes(LAST, other)]
    assert complaints(LAST, other, is_released=False)
    assert complaints(LAST, {**other, "version": "1.9"}, is_released=True)
    assert complaints(LAST, {**other, "version": "2.0"}, is_released=True) == []


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_needs_a_new_minor_once_released(change: Callable[[Any], object]) -> None:
    other = changed(change)
    assert [each.kind for each in changes(LAST, other)] == ["addition"]
    assert complaints(LAST, other, is_released=False) == []
    assert complaints(LAST, other, is_released=True)
    assert complaints(LAST, {**other, "version": "1.9"}, is_released=True) == []


def test_a_version_does_not_fall() -> None:
    assert complaints({**LAST, "version": "1.2"}, {**LAST, "version": "1.1"}, is_released=True)
