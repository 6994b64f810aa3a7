"""The policy of an administrator: which limits it gives, and its file through restarts and damage."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.models import CameraId
from agent_core.media.index import CameraTotals
from agent_core.media.index.entries import LATEST_NS, OldEntry
from agent_core.media.retention import Limits, Plan, RetentionPolicy, Rule, planned
from agent_core.media.retention.cleaner import BATCH
from agent_core.media.retention.limits import (
    AHEAD,
    FIRST_VERSION,
    age_limit,
    is_expired,
    order_of,
    posix_ns,
    spans,
    surplus,
)
from agent_core.media.retention.policy import POLICY_FILE, PolicyFile, PolicyType
from agent_core.snapshots.models import StoredFile
from agent_core.snapshots.store import SnapshotStore
from tests.media.kept import NOW, Kept, unindexed

DAY_S = 86_400
CONFIGURED: Mapping[str, Limits] = {
    "recordings": Limits(max_age_s=7.0 * DAY_S, max_count=5, max_bytes=100),
    "snapshots": Limits(max_count=9),
}
FROM_CONFIGURATION = Plan(
    ages_s=(("recordings", 7.0 * DAY_S),),
    counts=(("recordings", 5), ("snapshots", 9)),
    sizes=(Rule(("recordings",), 100),),
)
BY_AGE = Plan(ages_s=(("recordings", 2.0 * DAY_S), ("snapshots", 2.0 * DAY_S)))


def policy(kind: str, *, enabled: bool = True, **limits: float) -> RetentionPolicy:
    return RetentionPolicy.model_validate({"policy_type": kind, "enabled": enabled, **limits})


@pytest.mark.parametrize(
    ("chosen", "by_itself", "asked"),
    [
        (None, FROM_CONFIGURATION, FROM_CONFIGURATION),
        (policy("age", max_age_days=2), BY_AGE, BY_AGE),
        (policy("age", max_age_days=2, enabled=False), FROM_CONFIGURATION, FROM_CONFIGURATION),
        (policy("manual"), Plan(), FROM_CONFIGURATION),
        (policy("manual", max_age_days=2), Plan(), BY_AGE),
        (policy("manual", enabled=False), FROM_CONFIGURATION, FROM_CONFIGURATION),
    ],
)
def test_the_limits_in_force(chosen: RetentionPolicy | None, by_itself: Plan, asked: Plan) -> None:
    assert planned(CONFIGURED, chosen, asked=False) == by_itself
    assert planned(CONFIGURED, chosen, asked=True) == asked


def test_a_size_is_for_all_media_together_in_gigabytes_of_a_thousand_million() -> None:
    found = planned(CONFIGURED, policy("size", max_size_gb=1.5), asked=False)
    assert found == Plan(sizes=(Rule(("recordings", "snapshots"), 1_500_000_000),))


def test_a_size_in_gigabytes_is_exact_to_the_byte() -> None:
    """Cut off, a limit of exactly one file would exclude that file: 30,519 bytes are 30,518.999… after the way through gigabytes."""
    for size in range(30_000, 36_000):
        (rule,) = planned(CONFIGURED, policy("size", max_size_gb=size / 1e9), asked=False).sizes
        assert rule.max_bytes == size


def test_no_limit_is_no_plan() -> None:
    assert planned({"recordings": Limits()}, None, asked=True).is_empty
    assert not BY_AGE.is_empty
    assert (Plan().max_age_s, FROM_CONFIGURATION.max_age_s) == (None, 7.0 * DAY_S)


def test_an_age_is_exact_and_one_before_all_dates_excludes_nothing() -> None:
    limit = age_limit(NOW, 7.0 * DAY_S)
    assert not is_expired(NOW - timedelta(days=7), limit)
    assert is_expired(NOW - timedelta(days=7, seconds=1), limit)
    assert not is_expired(datetime(1970, 1, 2, tzinfo=UTC), limit), "made by a clock that was never set"
    assert not is_expired(NOW, age_limit(NOW, 1e300))
    assert is_expired(FIRST_VERSION, limit)
    assert not is_expired(FIRST_VERSION - timedelta(microseconds=1), limit)


def test_a_time_is_in_nanoseconds_and_limited_as_in_the_index() -> None:
    assert posix_ns(datetime(1970, 1, 1, 0, 0, 1, 5, UTC)) == 1_000_005_000
    assert posix_ns(datetime.min.replace(tzinfo=UTC)) == -LATEST_NS


def test_files_from_the_future_go_first_and_each_file_is_read_once() -> None:
    """Up to `AHEAD` is no future. The spans of time in which the index is read give the same order."""
    edge_ns = posix_ns(NOW + AHEAD)
    future = [edge_ns + 1, edge_ns + 2, edge_ns + 10**12, LATEST_NS]
    past = [-LATEST_NS, 0, posix_ns(NOW - AHEAD), posix_ns(NOW), edge_ns - 1, edge_ns]
    entries = [
        OldEntry(at_ns, name, CameraId("camera0"), name, 1, is_open=False)
        for at_ns in [*future, *past]
        for name in ("camera0_a", "camera0_é")
    ]
    mixed = entries[::-1]
    assert sorted(mixed, key=lambda each: order_of(each, NOW)) == entries
    read = [
        each
        for after, before_ns in spans(NOW)
        for each in sorted(entries)
        if (each.at_ns, each.name) > after and each.at_ns < before_ns
    ]
    assert read == entries


@pytest.mark.parametrize(
    ("count", "opened", "too_many"), [(5, 0, 3), (5, 1, 2), (2, 0, 0), (0, 0, 0), (3, 3, 0)]
)
def test_open_ones_are_not_counted(count: int, opened: int, too_many: int) -> None:
    assert surplus(CameraTotals(count, opened), 2) == too_many


# The file.


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Recordings of which the configured number excludes one."""
    kept = Kept(unindexed(tmp_path), recordings=Limits(max_count=1))
    for hours in (48, 1):
        kept.record("camera0", timedelta(hours=hours))
    return kept


async def test_a_policy_survives_a_restart_and_the_way_back_is_to_disable_it(
    kept: Kept, tmp_path: Path
) -> None:
    await kept.policy("age", max_age_days=30)
    kept.restarted()
    assert await kept.clean() == 0, "the policy replaces the configuration"
    assert json.loads((tmp_path / POLICY_FILE).read_text())["version"] == 1
    await kept.retention.set_policy(policy("age", enabled=False))
    kept.restarted()
    stored = await kept.retention.policy()
    assert stored is not None
    assert (stored.policy_type, stored.enabled) == (PolicyType.AGE, False)
    assert await kept.clean() == 1


async def test_manual_deletes_nothing_by_itself(kept: Kept) -> None:
    await kept.policy("manual")
    async with kept.running():
        kept.bus.publish("recording.stop", None)
        await kept.clock.advance(10_000)
        assert len(await kept.recorded()) == 2
    assert await kept.clean() == 1


async def test_a_policy_is_applied_as_soon_as_it_is_set(kept: Kept) -> None:
    await kept.policy("manual")
    async with kept.running():
        cleaned = len(kept.clock.sleeps)
        await kept.policy("age", max_age_days=1)
        while len(kept.clock.sleeps) == cleaned:
            await kept.clock.advance(0)
        assert len(await kept.recorded()) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "retention_corrupt"),
        (b"", "retention_corrupt"),
        (b"\xff\0", "retention_corrupt"),
        *((content, "retention_corrupt") for content in (b"{}", b"[]", b"null", b"5", b'"version"')),
        (
            b'{"version": 1, "policy": {"policy_type": "size", "enabled": true, "max_size_gb": 1e300}}',
            "retention_corrupt",
        ),
        (
            b'{"version": 1, "policy": {"policy_type": "age", "enabled": true, "max_age_days": -1}}',
            "retention_corrupt",
        ),
        (
            b'{"version": 1, "policy": {"policy_type": "age", "enabled": true, "max_age_days": NaN}}',
            "retention_corrupt",
        ),
        (b'{"version": 2, "policy": {"policy_type": "tiers"}}', "retention_later_version"),
    ],
)
async def test_a_policy_that_cannot_be_read_keeps_everything_until_it_is_set_anew(
    kept: Kept, tmp_path: Path, content: bytes, reason: str
) -> None:
    await kept.policy(
        "age", max_age_days=1
    )  # not even the one before applies: it may have been replaced by `manual`
    await kept.policy("age", max_age_days=30)
    (tmp_path / POLICY_FILE).write_bytes(content)
    _, problem = PolicyFile(tmp_path / POLICY_FILE).load()
    assert problem is not None
    assert problem.reason == reason
    for _ in range(2):
        kept.restarted()
        kept.told_of_policy.clear()
        async with kept.running():
            assert len(await kept.recorded()) == 2
        (told,) = kept.told_of_policy
        assert "set_retention_policy" in told
    is_kept = (tmp_path / POLICY_FILE).exists()
    assert is_kept is (reason == "retention_later_version"), "a later version's file is left alone"
    await kept.policy("age", max_age_days=1)
    assert kept.told_of_policy[-1] == ""
    kept.restarted()
    assert await kept.clean() == 1


async def test_a_new_policy_ends_the_deletion_by_the_one_before(tmp_path: Path) -> None:
    """A step of the cleanup is held until the policy is set: what is in the step goes, and no more."""
    began, held = threading.Event(), threading.Event()

    class Slow(SnapshotStore):
        def remove(self, stored: StoredFile) -> bool:
            began.set()
            assert held.wait(30)
            return super().remove(stored)

    library = unindexed(tmp_path)
    library.snapshots = Slow(tmp_path / "snapshots")
    kept = Kept(library)
    for hours in range(3 * BATCH):
        kept.shoot("camera0", timedelta(days=9, hours=hours))
    await kept.policy("age", max_age_days=8)
    async with anyio.create_task_group() as tasks:
        await tasks.start(kept.retention.run)
        with anyio.fail_after(60):
            await anyio.to_thread.run_sync(began.wait)
            tasks.start_soon(kept.policy, "manual")
            while await kept.retention.policy() != policy("manual"):
                await anyio.sleep(0.01)
            held.set()
            while len(await kept.shot()) > 2 * BATCH or not kept.clock.sleeps:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert len(await kept.shot()) == 2 * BATCH


async def test_a_policy_that_cannot_be_stored_changes_nothing(kept: Kept, tmp_path: Path) -> None:
    """A folder stands in the place of the file, as root can write to any other."""
    (tmp_path / POLICY_FILE).mkdir()
    with pytest.raises(StorageFailed) as caught:
        await kept.policy("manual")
    assert caught.value.details.startswith("The policy was not set:")
    assert caught.value.suggestion
    assert await kept.clean() == 1
