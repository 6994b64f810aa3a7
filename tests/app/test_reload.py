"""Reload of the configuration: each key is reported truly, and what is hot is in effect."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent_core.app.reload import Reloads
from agent_core.app.wiring import AgentParts
from agent_core.base.errors import ConfigError
from agent_core.client import CallFailed
from agent_core.config import AgentConfig, ConfigSource, LoadedConfig, is_hot
from agent_core.plugin import HOT, Plugin, Settings, hookimpl
from agent_core.testing.agents import RunningAgent, running_agent

Sections = dict[str, dict[str, Any]]


def keys() -> Iterator[tuple[str, str, Any]]:
    for section, field in AgentConfig.model_fields.items():
        model: Any = field.annotation
        for name, entry in model.model_fields.items():
            yield section, name, entry.annotation


#: Keys whose values must fit others.
SPECIAL: Mapping[tuple[str, str], object] = {
    ("plugins", "enabled"): ["lamp", "horn"],
    ("plugins", "enable"): {"lamp": False},
    ("media_server", "protocols"): ["hls"],
    ("media_server", "read_password"): "other",
    ("snapshots", "tier_budget_s"): [1.0, 2.0, 3.0, 4.0],
}
BASE: Sections = {"media_server": {"read_user": "viewer", "read_password": "secret"}}


def other(kind: Any, value: Any) -> Any:
    """Return a valid value that is not `value`."""
    kinds = [kind]
    while get_origin(kinds[0]) in (Annotated, Union, UnionType):
        kinds = [each for each in get_args(kinds[0]) if each is not type(None)]
    (first, *_) = kinds
    if get_origin(first) is Literal:
        return next(each for each in get_args(first) if each != value)
    if get_origin(first) is tuple:
        return ["a"]
    if first is bool:
        return not value
    if first in (int, float):
        return (10_000 if value is None else value) + 1
    return f"{value}-2"


class Reloading:
    """A running agent whose sections a test changes."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.agent: RunningAgent

    async def reload(self) -> dict[str, Any]:
        async with self.agent.client("admin") as client:
            result: dict[str, Any] = await client.call("reload_configuration")
        return result


def started(sections: Sections | None = None, **more: Any) -> tuple[Reloading, Any]:
    mine = Reloading(deepcopy(sections or {}))
    return mine, running_agent(config=deepcopy(mine.sections), reread=lambda: mine.sections, **more)


@pytest.mark.usefixtures("log_levels")
async def test_every_key_is_reported_once_and_as_it_is_declared() -> None:
    mine, context = started(BASE)
    async with context as mine.agent, mine.agent.client("admin") as client:
        before = mine.agent.parts.reloads.current
        for section, name, kind in keys():
            value = getattr(getattr(before, section), name)
            mine.sections = deepcopy(BASE)
            mine.sections.setdefault(section, {})[name] = SPECIAL.get((section, name), other(kind, value))
            told = await client.call("reload_configuration")
            model: Any = AgentConfig.model_fields[section].annotation
            key = f"{section}.{name}"
            hot = is_hot(model, name)
            assert told["changed"] == ([key] if hot else [])
            assert told["needs_restart"] == ([] if hot else [key])
            mine.sections = deepcopy(BASE)
            back = await client.call("reload_configuration")
            assert back["changed"] == ([key] if hot else [])
            assert back["needs_restart"] == []
        assert mine.agent.parts.reloads.current == before


#: For each hot key, where its value is used.
USED: Mapping[str, Callable[[AgentParts], Any]] = {
    "server.allowed_origins": lambda parts: parts.server._front._config.allowed_origins,
    "server.max_connections": lambda parts: parts.server._slots._limits.total,
    "server.max_connections_per_address": lambda parts: parts.server._slots._limits.per_address,
    "server.max_unauthenticated_connections": lambda parts: parts.server._slots._limits.anonymous,
    "server.max_message_bytes": lambda parts: parts.server._engine.config.ws_max_size,  # type: ignore[union-attr]
    "server.max_unauthenticated_message_bytes": (
        lambda parts: parts.server._engine._limits.max_unauthenticated_message_bytes  # type: ignore[union-attr]
    ),
    "server.max_calls": lambda parts: parts.server._front._sessions._parts.max_calls,
    "server.max_queued_events": lambda parts: parts.server._front._sessions._parts.events.capacity,
    "server.event_journal_bytes": lambda parts: (
        parts.server._front._sessions._parts.events.journal._max_bytes
    ),
    "server.ping_interval_s": lambda parts: parts.server._engine.config.ws_ping_interval,  # type: ignore[union-attr]
    "server.first_request_s": lambda parts: parts.server._engine._acceptor.tls_deadline_s,  # type: ignore[union-attr]
    "server.stall_s": lambda parts: parts.server._engine._limits.stall_s,  # type: ignore[union-attr]
    "auth.calls_per_s": lambda parts: parts.server._front._sessions._parts.limiter._calls._rate_per_s,
    "auth.calls_burst": lambda parts: parts.server._front._sessions._parts.limiter._calls._burst,
    "auth.failures_per_minute": (
        lambda parts: parts.server._front._sessions._parts.authenticator._throttle._buckets._burst  # type: ignore[attr-defined]
    ),
    "logging.level": lambda _: logging.getLevelName(logging.getLogger("camera_agent").level).lower(),
    "storage.min_free_bytes": lambda parts: parts.media.files.min_free_bytes,
    "health.low_space_bytes": lambda parts: parts.media.disks._low_space_bytes,
    "snapshots.max_age_ms": lambda parts: parts.snapshots.defaults.max_age_ms,
    "snapshots.deadline_ms": lambda parts: parts.snapshots.defaults.deadline_ms,
    "snapshots.quality": lambda parts: parts.snapshots.defaults.quality,
    "snapshots.max_count": lambda parts: parts.storage.retention._configured["snapshots"].max_count,
    "recordings.max_count": lambda parts: parts.storage.retention._configured["recordings"].max_count,
    "snapshots.max_age_days": lambda parts: (
        parts.storage.retention._configured["snapshots"].max_age_s / 86_400  # type: ignore[operator]
    ),
    "recordings.max_age_days": lambda parts: (
        parts.storage.retention._configured["recordings"].max_age_s / 86_400  # type: ignore[operator]
    ),
    "snapshots.max_size_gb": lambda parts: (
        parts.storage.retention._configured["snapshots"].max_bytes / 10**9  # type: ignore[operator]
    ),
    "recordings.max_size_gb": lambda parts: (
        parts.storage.retention._configured["recordings"].max_bytes / 10**9  # type: ignore[operator]
    ),
    "views.max_live": lambda parts: parts.places._config.max_live,
    "views.max_live_per_camera": lambda parts: parts.places._config.max_live_per_camera,
    "views.max_live_per_address": lambda parts: parts.places._config.max_live_per_address,
    "media_server.host": lambda parts: parts.media.service.addresses.host,
    "media_server.hls_port": lambda parts: parts.media.service.addresses.hls_port,
    "media_server.webrtc_port": lambda parts: parts.media.service.addresses.webrtc_port,
}
#: The agent does not use the first; the second has a test of its own.
ELSEWHERE = {"auth.token_lifetime_s", "logging.format"}


def test_each_hot_key_has_a_place_where_it_is_used() -> None:
    hot = {
        f"{section}.{name}"
        for section, name, _ in keys()
        if is_hot(AgentConfig.model_fields[section].annotation, name)  # type: ignore[arg-type]
    }
    assert hot == USED.keys() | ELSEWHERE


@pytest.fixture
def log_levels() -> Iterator[None]:
    """Restore the levels of the loggers that a reload of `logging.level` changes."""
    loggers = [logging.getLogger(), logging.getLogger("camera_agent")]
    levels = [each.level for each in loggers]
    yield
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


@pytest.mark.usefixtures("log_levels")
async def test_each_hot_key_is_used_after_the_reload() -> None:
    mine, context = started()
    async with context as mine.agent:
        for section, name, kind in keys():
            if f"{section}.{name}" not in USED:
                continue
            value = getattr(getattr(mine.agent.parts.reloads.current, section), name)
            mine.sections.setdefault(section, {})[name] = other(kind, value)
        mine.sections["server"] |= {"max_connections": 60, "max_connections_per_address": 50}
        mine.sections["server"]["max_unauthenticated_connections"] = 40
        told = await mine.reload()
        assert set(told["changed"]) == set(USED)
        current = mine.agent.parts.reloads.current
        for key, used in USED.items():
            section, name = key.split(".")
            assert used(mine.agent.parts) == getattr(getattr(current, section), name), key


async def test_limits_hold_for_connections_that_are_open() -> None:
    mine, context = started()
    async with context as mine.agent, connect(mine.agent.url) as anonymous:
        async with mine.agent.client("admin") as client:
            mine.sections["server"] = {
                "max_message_bytes": 20_000,
                "max_unauthenticated_message_bytes": 9_000,
                "max_calls": 1,
            }
            await client.call("reload_configuration")
            with pytest.raises(CallFailed) as refused:
                await client.call("ping", padding="x" * 15_000)  # read, and refused for its parameter
            assert refused.value.code == -32602
            await anonymous.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x" * 10_000}))
            with pytest.raises(ConnectionClosed) as closed:
                await anonymous.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


async def test_an_origin_is_allowed_and_forbidden_again() -> None:
    mine, context = started()
    async with context as mine.agent:
        page: Any = {"origin": "https://panel.example"}
        with pytest.raises(InvalidStatus):
            await connect(mine.agent.url, **page)
        mine.sections["server"] = {"allowed_origins": ["https://panel.example"]}
        await mine.reload()
        async with connect(mine.agent.url, **page):
            pass
        mine.sections["server"] = {}
        await mine.reload()
        with pytest.raises(InvalidStatus):
            await connect(mine.agent.url, **page)


async def test_a_policy_goes_on_replacing_the_limits_and_it_is_said() -> None:
    mine, context = started()
    async with context as mine.agent, mine.agent.client("admin") as client:
        mine.sections["recordings"] = {"max_count": 5}
        assert (await client.call("reload_configuration"))["notes"] == []
        policy = {"policy_type": "age", "enabled": True, "max_age_days": 3}
        await client.call("set_retention_policy", **policy)
        mine.sections["recordings"] = {"max_count": 6}
        told = await client.call("reload_configuration")
        assert told["changed"] == ["recordings.max_count"]
        (note,) = told["notes"]
        assert "set_retention_policy" in note
        assert (await mine.agent.parts.storage.retention.plan()).counts == ()
        await client.call("set_retention_policy", **(policy | {"enabled": False}))
        assert (await mine.agent.parts.storage.retention.plan()).counts == (("recordings", 6),)


# Plugins.


class LampSettings(Settings):
    colour: Annotated[str, HOT] = "red"
    power: Annotated[int, HOT] = 1
    socket: str = "a"


class Lamp(Plugin[LampSettings]):
    """Takes over its colour; its power only downwards."""

    Settings = LampSettings

    @hookimpl
    def agent_reload(self, settings: LampSettings) -> list[str]:
        if settings.colour == "broken":
            raise RuntimeError("the secret is 1234")
        refused = ["power"] if settings.power > self.settings.power else []
        self.settings = settings
        return refused


class Deaf(Plugin[LampSettings]):
    """Has no hook, although its settings are marked."""

    Settings = LampSettings


async def reload_lamp(mine: Reloading, lamp: Mapping[str, object], deaf: Mapping[str, object]) -> Any:
    mine.sections["plugins"] = {"lamp": dict(lamp), "deaf": dict(deaf)}
    return await mine.reload()


def lamps() -> tuple[Reloading, Any]:
    return started(plugins={"lamp": Lamp, "deaf": Deaf})


async def test_a_plugin_takes_over_what_it_can() -> None:
    mine, context = lamps()
    async with context as mine.agent:
        told = await reload_lamp(mine, {"colour": "blue", "power": 2, "socket": "b"}, {"colour": "blue"})
        assert told["changed"] == ["plugins.lamp.colour"]
        assert told["needs_restart"] == [
            "plugins.lamp.power",
            "plugins.lamp.socket",
            "plugins.deaf.colour",
        ]
        again = await reload_lamp(mine, {"colour": "blue", "power": 1, "socket": "b"}, {})
        assert again["changed"] == []
        assert again["needs_restart"] == ["plugins.lamp.socket"]


async def test_a_plugin_that_fails_does_not_keep_others_from_their_settings() -> None:
    mine, context = lamps()
    async with context as mine.agent:
        mine.sections["server"] = {"max_calls": 5}
        told = await reload_lamp(mine, {"colour": "broken"}, {"socket": "c"})
        assert told["changed"] == ["server.max_calls"]
        assert told["needs_restart"] == ["plugins.lamp.colour", "plugins.deaf.socket"]
        (error,) = told["errors"]
        assert "'lamp'" in error
        assert "1234" not in error
        told = await reload_lamp(mine, {"colour": "blue"}, {})
        assert told["changed"] == ["plugins.lamp.colour"]
        assert told["errors"] == []


async def test_wrong_settings_of_a_plugin_change_nothing() -> None:
    mine, context = lamps()
    async with context as mine.agent:
        mine.sections["server"] = {"max_calls": 5}
        with pytest.raises(CallFailed) as refused:
            await reload_lamp(mine, {"colour": "blue"}, {"pwer": 3})
        assert refused.value.code == -32020
        assert refused.value.reason == "unknown_key"
        assert "plugins.deaf.pwer" in refused.value.details
        assert mine.agent.parts.reloads.current.server.max_calls == 32
        told = await reload_lamp(mine, {}, {})
        assert told["changed"] == ["server.max_calls"]


async def test_keys_of_plugins_that_are_not_loaded_need_a_restart() -> None:
    mine, context = started({"plugins": {"enabled": ["no_such_plugin"], "spare": {"a": 1}}})
    async with context as mine.agent:
        mine.sections["plugins"] = {
            "enabled": ["no_such_plugin"],
            "no_such_plugin": {"required": True, "deep": {"a": 1}},
            "spare": {"a": 2},
        }
        told = await mine.reload()
        assert told["changed"] == []
        assert told["needs_restart"] == ["plugins.no_such_plugin.required", "plugins.no_such_plugin.deep"]


# Files.


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_what_is_wrong_with_a_file_is_said_and_changes_nothing(tmp_path: Path) -> None:
    main = write(tmp_path / "config.toml", "[server]\nmax_calls = 3\n")
    source = ConfigSource(main, {})
    reloads = Reloads(source.read().config, source.read)
    told: list[int] = []
    reloads.on_change("server", lambda config: told.append(config.server.max_calls))
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.run)
        for text, reason, words in (
            ("[server]\nmax_calls = 4\nmax_cals = 1", "unknown_key", ("server.max_cals", str(main))),
            ("[server]\nmax_calls = 0", "invalid_value", ("server.max_calls", str(main))),
            ("[server]\nmax_calls = 4\n[serv", "config_unreadable", (str(main), "end of document")),
        ):
            main.write_text(text)
            with pytest.raises(ConfigError) as caught:
                await reloads.reload()
            assert caught.value.reason == reason
            assert all(each in caught.value.details for each in words), caught.value.details
        main.unlink()
        with pytest.raises(ConfigError) as caught:
            await reloads.reload()
        assert caught.value.reason == "config_missing"
        assert told == []
        drop_in = write(tmp_path / "conf.d/10.toml", "[server]\nmax_calls = -1")
        write(main, "[server]\nmax_calls = 4\n")
        with pytest.raises(ConfigError) as caught:
            await reloads.reload()
        assert str(drop_in) in caught.value.details
        drop_in.write_text("[server]\nmax_calls = 5")
        assert (await reloads.reload()).changed == ("server.max_calls",)
        drop_in.unlink()
        await reloads.reload()
        assert told == [5, 4]
        tasks.cancel_scope.cancel()


async def test_a_variable_wins_over_a_changed_file_and_is_named(tmp_path: Path) -> None:
    main = write(tmp_path / "config.toml", "")
    environment = {"CAMERA_AGENT__SERVER__MAX_CALLS": "7"}
    source = ConfigSource(main, environment)
    reloads = Reloads(source.read().config, source.read)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.run)
        main.write_text("[server]\nmax_calls = 9\n")
        assert (await reloads.reload()).changed == ()
        environment["CAMERA_AGENT__SERVER__MAX_CALLS"] = "none"
        with pytest.raises(ConfigError, match="in the environment"):
            await reloads.reload()
        tasks.cancel_scope.cancel()


class Slow:
    """Reads configurations one after the other; counts those that run at once."""

    def __init__(self) -> None:
        self.reads = 0
        self.notified: list[str] = []

    def read(self) -> LoadedConfig:
        self.reads += 1
        sections = {"server": {"max_calls": 100 + self.reads}}
        return LoadedConfig(AgentConfig.model_validate(sections))


async def test_reloads_at_once_are_made_one_after_the_other() -> None:
    slow = Slow()
    reloads = Reloads(AgentConfig(), slow.read, notify=slow.notified.append)
    seen: list[int] = []
    reloads.on_change("server", lambda config: seen.append(config.server.max_calls))

    async def reload() -> None:
        assert (await reloads.reload()).changed == ("server.max_calls",)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(reload)  # before the agent has started: they wait
        await anyio.wait_all_tasks_blocked()
        assert slow.reads == 0
        await tasks.start(reloads.run)
        with anyio.fail_after(20):
            while slow.reads < 5 or len(slow.notified) < 10:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert seen == [101, 102, 103, 104, 105]
    began, ended = slow.notified[::2], slow.notified[1::2]
    assert all(each.startswith("RELOADING=1\nMONOTONIC_USEC=") for each in began)
    assert ended == ["READY=1\nSTATUS="] * 5


async def test_requests_before_the_start_make_one_reload() -> None:
    slow = Slow()
    reloads = Reloads(AgentConfig(), slow.read, notify=slow.notified.append)
    for _ in range(5):
        reloads.request()
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.run)
        with anyio.fail_after(20):
            while len(slow.notified) < 2:
                await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert slow.reads == 1


async def test_a_request_that_fails_for_any_reason_ends_neither_the_agent_nor_later_requests() -> None:
    faults: list[Exception] = [RuntimeError("a bug"), RecursionError()]
    read = anyio.Event()

    def failing() -> LoadedConfig:
        if faults:
            raise faults.pop()
        anyio.from_thread.run_sync(read.set)
        return LoadedConfig(AgentConfig())

    reloads = Reloads(AgentConfig(), failing)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(reloads.run)
            while not read.is_set():
                reloads.request()
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert not faults


async def test_a_part_that_fails_is_told_and_tried_again() -> None:
    configs = iter([AgentConfig.model_validate({"server": {"max_calls": 5}, "auth": {"calls_burst": 3}})] * 2)
    reloads = Reloads(AgentConfig(), lambda: LoadedConfig(next(configs)))
    faults = iter([True, False])

    def apply(_config: AgentConfig) -> None:
        if next(faults):
            raise ValueError

    reloads.on_change("server", apply)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.run)
        first = await reloads.reload()
        assert (first.changed, first.needs_restart) == (("auth.calls_burst",), ("server.max_calls",))
        assert len(first.errors) == 1
        second = await reloads.reload()
        assert (second.changed, second.needs_restart, second.errors) == (("server.max_calls",), (), ())
        tasks.cancel_scope.cancel()


async def test_the_error_of_a_wrong_value_does_not_show_it(tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    main = write(tmp_path / "config.toml", "")
    source = ConfigSource(main, {})
    reloads = Reloads(source.read().config, source.read)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.run)
        for text in (
            f"[media_server]\nread_user = 'a b'\nread_password = '{secret}'",
            f"[media_server]\nread_password = '{secret}'",
            f"[media_server]\npassword = ['{secret}']",
            f"[server]\nport = '{secret}'",
            f"[logging]\nlevel = '{secret}'",
            f"[server]\nport = {secret}",
        ):
            main.write_text(text)
            with pytest.raises(ConfigError) as caught:
                await reloads.reload()
            assert secret not in f"{caught.value.details} {caught.value.suggestion}"
        tasks.cancel_scope.cancel()
