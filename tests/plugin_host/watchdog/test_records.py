"""Files of the watchdog: the end of the last run, and the plugins in quarantine."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.config import AgentConfig
from agent_core.plugin import NOT_ASKED, CameraReport, CameraSource, Plugin, Settings, Started, hookimpl
from agent_core.plugin_host.watchdog.origins import enabled_origins
from agent_core.plugin_host.watchdog.quarantine import Quarantine
from agent_core.plugin_host.watchdog.records import HostTimes, RunRecord, host_times, keep, review, stack_file
from agent_core.plugin_host.watchdog.timer import effective_timeout_s
from agent_core.testing import running_agent

LOOP = 0x7F01


def config(folder: Path, **health: Any) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "storage": {"state_dir": folder, "runtime_dir": folder / "run"},
            "plugins": {"enabled": ["virtual_camera", "ffmpeg_tier"]},
            "health": health,
        }
    )


def times(monotonic_s: float = 1000.0, boottime_s: float = 1000.0) -> HostTimes:
    return HostTimes("boot", monotonic_s, boottime_s, datetime.now(UTC))


def freeze(folder: Path, plugin: str = "virtual_camera", **fields: Any) -> None:
    """Leave behind what a run leaves that the watchdog ended."""
    origins = enabled_origins(config(folder).plugins)
    record = RunRecord(
        boot_id="boot", loop_thread=LOOP, timeout_s=30.0, offset_s=0.0, resumed=False, plugins=origins
    ).model_copy(update=fields)
    root = next(each.roots[0] for each in origins if each.name == plugin)
    stack = f'Thread 0x{LOOP:016x} (most recent call first):\n  File "{root}/source.py", line 7 in watch\n'
    (folder / "watchdog.txt").write_text(f"{record.model_dump_json()}\nTimeout (0:00:31)!\n{stack}")


def start(folder: Path, now: HostTimes, **health: Any) -> dict[str, Any]:
    """What a start does with the files; returns who is held."""
    found = review(config(folder, **health), now)
    assert keep(config(folder, **health), found) is None
    with stack_file(config(folder)):
        return dict(found.held())


def test_without_files_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = review(config(tmp_path), times())
    assert (found.ended, found.freeze, found.held()) == ("", None, {})


def test_the_third_freeze_is_a_quarantine_and_the_stacks_count_once(tmp_path: Path) -> None:
    for held in ([], [], ["virtual_camera"]):
        freeze(tmp_path)
        assert (
            "because of the plugin 'virtual_camera' (source.py, line 7"
            in review(config(tmp_path), times()).ended
        )
        assert list(start(tmp_path, times())) == held
        assert list(start(tmp_path, times())) == held


def test_looking_changes_nothing(tmp_path: Path) -> None:
    freeze(tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for _ in range(5):
        assert review(config(tmp_path), times()).freeze is not None
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("fields", "now"),
    [
        ({"resumed": True}, times()),
        ({}, times(1000.0, 4600.0)),  # suspended since the last beat
        ({"offset_s": 500.0}, times(1000.0, 4600.0)),
    ],
)
def test_a_freeze_after_a_suspend_never_counts(
    tmp_path: Path, fields: dict[str, Any], now: HostTimes
) -> None:
    for _ in range(5):
        freeze(tmp_path, **fields)
        found = review(config(tmp_path), now)
        assert "does not count" in found.ended
        assert start(tmp_path, now) == {}
    freeze(tmp_path, offset_s=3600.0)
    assert review(config(tmp_path), times(1000.0, 4600.0)).freeze is not None


def test_freezes_are_dated_by_the_file(tmp_path: Path) -> None:
    freeze(tmp_path)
    now = times()
    os.utime(tmp_path / "watchdog.txt", (0, now.now.timestamp() - 90))
    found = review(config(tmp_path), now).freeze
    assert found is not None
    assert found.at_s == pytest.approx(910.0)


def test_never_loads_it_and_forgets(tmp_path: Path) -> None:
    for _ in range(3):
        freeze(tmp_path)
        start(tmp_path, times())
    assert start(tmp_path, times(), quarantine="never") == {}
    assert start(tmp_path, times()) == {}


@pytest.mark.parametrize("name", ["watchdog.txt", "quarantine.json"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "garbage"])
def test_a_planted_file_is_not_read_and_does_not_block(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        freeze(tmp_path)
        (tmp_path / "watchdog.txt").rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\0{}\n")
    assert review(config(tmp_path), times()).held() == {}


async def test_the_last_source_is_spared_unless_that_is_wanted(tmp_path: Path) -> None:
    for _ in range(3):
        freeze(tmp_path)
        start(tmp_path, times())
    whole = config(tmp_path)
    assert list(review(whole, times()).held()) == ["virtual_camera"]
    for quarantine, cameras in (("spare_last_source", 1), ("always", 0)):
        sections = {"plugins": {"enabled": ["virtual_camera"]}, "health": {"quarantine": quarantine}}
        storage = {"state_dir": tmp_path, "runtime_dir": tmp_path / "run"}
        async with running_agent(config=sections | {"storage": storage}) as agent, agent.client() as client:
            assert len((await client.call("get_camera_list"))["cameras"]) == cameras
            (plugin,) = (await client.call("get_server_info"))["plugins"]
            assert plugin["status"] == ("LOADED" if cameras else "QUARANTINED")
            if not cameras:
                assert (await client.call("get_system_status"))["status"] == "partial"


async def test_a_tier_is_no_source_and_not_spared(tmp_path: Path) -> None:
    for _ in range(3):
        freeze(tmp_path, "ffmpeg_tier")
        start(tmp_path, times())
    sections = {
        "plugins": {"enabled": ["ffmpeg_tier"]},
        "storage": {"state_dir": tmp_path, "runtime_dir": tmp_path / "run"},
    }
    async with running_agent(config=sections) as agent, agent.client() as client:
        assert [each["status"] for each in (await client.call("get_server_info"))["plugins"]] == [
            "QUARANTINED"
        ]


class Slow(CameraSource):
    """A source whose first inventory waits for the test."""

    name = "slow"
    go = anyio.Event()

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        await self.go.wait()
        task_status.started()


class SlowPlugin(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Slow()]


async def test_who_subscribed_is_told(tmp_path: Path) -> None:
    for _ in range(3):
        freeze(tmp_path, "ffmpeg_tier")
        start(tmp_path, times())
    Slow.go = anyio.Event()
    sections = {
        "plugins": {"enabled": ["ffmpeg_tier"]},
        "storage": {"state_dir": tmp_path, "runtime_dir": tmp_path / "run"},
    }
    async with running_agent(config=sections, plugins={"slow": SlowPlugin}, settled=False) as agent:
        async with agent.client() as client, client.subscribe(["plugin.quarantined"]) as events:
            Slow.go.set()
            with anyio.fail_after(30):
                event = await anext(aiter(events))
    assert (event.topic, event.params["plugin"]) == ("plugin.quarantined", "ffmpeg_tier")
    assert "3 times within 10 minutes" in event.params["reason"]
    assert event.params["timestamp"]


def test_the_real_clocks_are_read() -> None:
    now = host_times()
    assert now.boottime_s >= now.monotonic_s - 1
    assert replace(now, boot_id="") != now
    assert Quarantine().model_dump_json()


@pytest.mark.parametrize(
    ("environment", "expected_s"),
    [
        ({}, 30.0),
        ({"WATCHDOG_USEC": "8000000"}, 6.0),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}, 6.0),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}, 30.0),
        ({"WATCHDOG_USEC": "180000000"}, 30.0),
        ({"WATCHDOG_USEC": "soon"}, 30.0),
        ({"WATCHDOG_USEC": "0"}, 30.0),
    ],
)
def test_it_comes_before_systemds_own(environment: dict[str, str], expected_s: float) -> None:
    assert effective_timeout_s(30.0, environment) == expected_s
