"""When a plugin goes into quarantine, and when it comes out: decisions that are told the time."""

from datetime import UTC, datetime

import pytest

from agent_core.plugin_host.watchdog.origins import PluginOrigin
from agent_core.plugin_host.watchdog.quarantine import Freeze, Quarantine, SuspendWatch, was_suspended

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def freeze(at_s: float, plugin: str = "hello", **fields: str) -> Freeze:
    known = {"version": "1.0", "settings": "s", "place": "hello.py, line 3, in run", "boot_id": "b"} | fields
    return Freeze(plugin=plugin, at_s=at_s, **known)


def origin(name: str = "hello", version: str = "1.0", settings: str = "s") -> PluginOrigin:
    return PluginOrigin(name=name, version=version, settings=settings, roots=())


def after(*freezes: Freeze) -> Quarantine:
    quarantine = Quarantine()
    for each in freezes:
        quarantine = quarantine.after(each, NOW)
    return quarantine


@pytest.mark.parametrize(
    ("times_s", "held"),
    [
        ((0.0,), False),
        ((0.0, 10.0), False),
        ((0.0, 10.0, 20.0), True),
        ((0.0, 299.0, 599.0), True),
        ((0.0, 300.0, 600.0), False),
        ((0.0, 500.0, 700.0), False),
        ((0.0, 500.0, 700.0, 1000.0), True),
        ((0.0, 601.0, 1202.0, 1803.0, 2404.0), False),
    ],
)
def test_three_times_in_ten_minutes(times_s: tuple[float, ...], *, held: bool) -> None:
    quarantine = after(*(freeze(each) for each in times_s))
    assert [each.plugin for each in quarantine.held] == (["hello"] if held else [])


def test_freezes_of_several_plugins_versions_and_boots_are_not_added_up() -> None:
    others = (
        freeze(1, "other"),
        freeze(2, version="0.9"),
        freeze(3, settings="t"),
        freeze(4, boot_id="earlier"),
    )
    for other in others:
        assert after(freeze(0), other, freeze(5)).held == ()


@pytest.mark.parametrize("changed", [origin(version="1.1"), origin(settings="t")])
def test_another_version_or_other_settings_end_it(changed: PluginOrigin) -> None:
    quarantine = after(freeze(0), freeze(1), freeze(2))
    assert quarantine.of([origin()]) == quarantine
    assert quarantine.of([]) == quarantine  # not enabled now: that is no other version
    assert quarantine.of([changed]) == Quarantine()
    assert after(freeze(0), freeze(1)).of([changed]).freezes == ()


def test_why_is_said_with_what_to_do() -> None:
    (held,) = after(freeze(0), freeze(1), freeze(2, place="hello.py, line 9, in watch")).held
    error = held.error()
    assert error.reason == "quarantined"
    assert "hello.py, line 9, in watch" in error.details
    assert "health.quarantine" in error.suggestion


def test_a_suspended_host_is_known_by_its_two_clocks() -> None:
    watch = SuspendWatch(100.0, 150.0)
    assert watch.is_fresh(110.0, 160.0) is False
    assert watch.is_fresh(120.0, 3770.0) is True  # an hour between the two readings
    assert watch.is_fresh(239.0, 3889.0) is True
    assert watch.is_fresh(240.0, 3890.0) is False
    assert watch.offset_s == 3650.0


@pytest.mark.parametrize(
    ("boottime_s", "expected"),
    [(150.0, False), (150.4, False), (151.0, False), (149.0, False), (160.0, True), (140.0, True)],
)
def test_whether_it_was_suspended_since(boottime_s: float, *, expected: bool) -> None:
    assert was_suspended(50.0, 100.0, boottime_s) is expected


def test_freezes_of_the_same_plugin_are_counted() -> None:
    quarantine = after(freeze(0), freeze(1), freeze(2, "other"), freeze(3, version="0.9"))
    assert [quarantine.count(each) for each in (freeze(9), freeze(9, "other"), freeze(9, "third"))] == [
        2,
        1,
        0,
    ]


def test_a_quarantine_leaves_the_state_of_other_plugins() -> None:
    other, later = freeze(1, "other"), freeze(4, "third")
    quarantine = after(freeze(0), other, freeze(2), freeze(3)).after(later, NOW)
    assert quarantine.freezes == (other, later)
    assert [each.plugin for each in quarantine.held] == ["hello"]
    both = quarantine.after(freeze(5, "other"), NOW).after(freeze(6, "other"), NOW)
    assert [each.plugin for each in both.held] == ["hello", "other"]


def test_a_plugin_is_held_once_with_its_last_place() -> None:
    quarantine = after(freeze(0), freeze(1), freeze(2))
    for at_s in (10, 11, 12):
        quarantine = quarantine.after(freeze(at_s, version="2.0", place="hello.py, line 9, in run"), NOW)
    (held,) = quarantine.held
    assert held.identity == ("hello", "2.0", "s")
    assert (held.place, held.since) == ("hello.py, line 9, in run", NOW)
