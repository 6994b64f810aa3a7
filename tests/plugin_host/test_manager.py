"""Loading plugins: each way to be broken costs one plugin and says why."""

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.app.plugins import LoadedPlugins
from agent_core.base.errors import FfmpegFailed, PluginError
from agent_core.base.models import FfmpegInput, MediaInput
from agent_core.config import PluginsConfig
from agent_core.plugin import (
    AgentContext,
    Camera,
    CameraReport,
    CameraSource,
    CaptureRequest,
    Picture,
    Plugin,
    Publisher,
    RecordingStills,
    RpcMethod,
    RpcParams,
    RpcResult,
    Settings,
    SnapshotTier,
    StillRequest,
    hookimpl,
)
from agent_core.plugin_host.manager import PluginManager, installed, plugin_class
from agent_core.plugin_host.models import PluginState, Providers


def agent(plugin: str, topics: object) -> Any:
    return object()  # no hook below looks at it


class Source(CameraSource):
    @property
    def name(self) -> str:
        return "empty"

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        task_status.started()


class Named(Source):
    def __init__(self, name: object) -> None:
        self._name = name

    @property
    def name(self) -> str:
        if isinstance(self._name, BaseException):
            raise self._name
        return self._name  # type: ignore[return-value]


class Ranked(SnapshotTier):
    name = "ranked"
    rank = 4

    def supports(self, camera: Camera) -> bool:
        return True

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        raise AssertionError


class Good(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Source()]

    @hookimpl
    def agent_publisher(self, media_input: MediaInput) -> Publisher:
        return Publisher((type(self).__name__,), "")


class Better(Good):
    pass


class Stills(RecordingStills):
    async def first(self, request: StillRequest) -> bytes:
        raise AssertionError


class Decoding(Plugin[Settings]):
    @hookimpl
    def agent_recording_stills(self, agent: AgentContext) -> RecordingStills:
        return Stills()


class NotDecoding(Plugin[Settings]):
    @hookimpl
    def agent_recording_stills(self) -> object:
        return Source()


class Nothing(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> None:
        return None


class Sized(Settings):
    size: int = 1


class WithSettings(Plugin[Sized]):
    Settings = Sized


class Method(RpcMethod[RpcParams]):
    name = "good.hello"
    role = "viewer"
    summary = "Say hello."

    async def call(self, params: RpcParams) -> RpcResult:
        return RpcResult()


class Talking(Plugin[Settings]):
    @hookimpl
    def agent_rpc_methods(self) -> list[RpcMethod[Any]]:
        return [Method()]


class Raising(Good):
    @hookimpl
    def agent_snapshot_tiers(self) -> None:
        raise RuntimeError("no driver")


class Coroutine(Plugin[Settings]):
    @hookimpl
    async def agent_components(self) -> None:
        return None


class UnknownHook(Plugin[Settings]):
    @hookimpl
    def agent_camera_sourcs(self) -> None:
        return None


class WrongArguments(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self, camera: object) -> None:
        return None


class WrongProvider(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[str]:
        return ["camera"]


class Exiting(Plugin[Settings]):
    @hookimpl
    def agent_components(self) -> None:
        raise SystemExit(0)


class ExitingWhenMade(Plugin[Settings]):
    def __init__(self, settings: Settings) -> None:
        raise KeyboardInterrupt


class ExitingLater(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> Iterator[CameraSource]:
        yield Source()
        raise SystemExit(0)


class NotIterable(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> int:
        return 3


class Nameless(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Named("")]


class NameRaises(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Named(SystemExit(0))]


class SameNameTwice(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Named("one"), Named("one")]


class NameOfAnother(Plugin[Settings]):
    @hookimpl
    def agent_camera_sources(self) -> list[CameraSource]:
        return [Source()]


class WrongTopics(Plugin[Settings]):
    topics = "broken.word"  # type: ignore[assignment]


class WrongRank(Plugin[Settings]):
    @hookimpl
    def agent_snapshot_tiers(self) -> list[SnapshotTier]:
        return [Ranked()]


class NeedsAWord(Ranked):
    needs = "frames"  # type: ignore[assignment]
    rank = 1


class WrongNeed(Plugin[Settings]):
    @hookimpl
    def agent_snapshot_tiers(self) -> list[SnapshotTier]:
        return [NeedsAWord()]


class OldApi(Plugin[Settings]):
    hookspec_api = ">=2,<3"


class NonsenseApi(Plugin[Settings]):
    hookspec_api = "newest"


class Exploding(Plugin[Settings]):
    def __init__(self, settings: Settings) -> None:
        raise OSError("no device")


def find(**classes: object) -> Any:
    def finder(name: str) -> Sequence[object]:
        found = classes.get(name, ())
        if isinstance(found, BaseException):
            raise found
        return found if isinstance(found, tuple) else (found,)

    return finder


def load(
    plugins: dict[str, object], config: dict[str, object] | None = None
) -> tuple[PluginManager, list[Providers]]:
    section = PluginsConfig.model_validate({"enabled": list(plugins), **(config or {})})
    manager = PluginManager()
    manager.load(section, find(**plugins))
    return manager, manager.collect(agent, section)


def reasons(manager: PluginManager) -> dict[str, str]:
    return {status.name: status.reason for status in manager.statuses}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ((), "not_installed"),
        (ImportError("No module named gphoto"), "import_failed"),
        (SystemExit(2), "import_failed"),
        (AssertionError("x"), "import_failed"),
        ((Good, Better), "name_clash"),
        ("not a class", "not_a_plugin"),
        (Settings, "not_a_plugin"),
        (OldApi, "wrong_api_version"),
        (NonsenseApi, "wrong_api_version"),
        (Coroutine, "coroutine_hook"),
        (Exploding, "plugin_failed"),
        (UnknownHook, "unknown_hook"),
        (WrongArguments, "plugin_failed"),
        (Raising, "plugin_failed"),
        (WrongProvider, "wrong_provider"),
        (NotDecoding, "wrong_provider"),
        (Exiting, "provider_raised"),
        (ExitingWhenMade, "provider_raised"),
        (ExitingLater, "provider_raised"),
        (NotIterable, "plugin_failed"),
        (Nameless, "wrong_name"),
        (NameRaises, "provider_raised"),
        (SameNameTwice, "name_clash"),
        (NameOfAnother, "name_clash"),
        (WrongTopics, "topic_refused"),
        (WrongRank, "wrong_rank"),
        (WrongNeed, "wrong_need"),
    ],
)
def test_a_broken_plugin_costs_only_itself(broken: object, reason: str) -> None:
    manager, providers = load({"first": Good, "broken": broken, "last": Nothing})
    assert reasons(manager) == {"first": "", "broken": reason, "last": ""}
    assert [each.plugin for each in providers] == ["first", "last"]
    failed = manager.statuses[1]
    assert failed.state is PluginState.FAILED
    assert failed.details


def test_wrong_settings_name_the_key_and_the_nearest() -> None:
    manager, _ = load({"sized": WithSettings}, {"sized": {"sise": 3}})
    assert reasons(manager) == {"sized": "wrong_settings"}
    assert "plugins.sized.sise" in manager.statuses[0].details


def test_required_makes_it_fatal() -> None:
    with pytest.raises(PluginError):
        load({"broken": OldApi}, {"broken": {"required": True}})
    with pytest.raises(PluginError):
        load({"broken": Raising}, {"broken": {"required": True}})


def test_the_first_enabled_plugin_that_decodes_recordings_is_used() -> None:
    manager, providers = load({"good": Good, "decoding": Decoding, "other": Decoding})
    offered = [each.stills for each in providers]
    assert offered[0] is None
    assert LoadedPlugins(manager, tuple(providers)).stills is offered[1] is not offered[2]
    assert isinstance(offered[1], Stills)


def test_the_first_enabled_plugin_publishes() -> None:
    manager, _ = load({"better": Better, "good": Good})
    publisher = manager.publisher(FfmpegInput(("-i", "x")))
    assert publisher is not None
    assert publisher.argv == ("Better",)
    manager, _ = load({"good": Good, "better": Better})
    assert manager.publisher(FfmpegInput(())) == Publisher(("Good",), "")


@pytest.mark.parametrize(
    "answer",
    ["ffmpeg -i", ("ffmpeg",), Publisher((), ""), Publisher((7,), ""), ValueError("bug"), SystemExit(0)],  # type: ignore[arg-type]
)
def test_a_publisher_that_cannot_be_used_leaves_it_to_the_next_plugin(answer: object) -> None:
    class Broken(Plugin[Settings]):
        @hookimpl
        def agent_publisher(self, media_input: MediaInput) -> object:
            if isinstance(answer, BaseException):
                raise answer
            return answer

    manager, _ = load({"broken": Broken, "good": Good})
    assert manager.publisher(FfmpegInput(())) == Publisher(("Good",), "")


def test_a_publisher_that_says_why_it_has_none_is_heard_if_no_other_plugin_has_one() -> None:
    class Explains(Plugin[Settings]):
        @hookimpl
        def agent_publisher(self, media_input: MediaInput) -> Publisher:
            raise FfmpegFailed("FFmpeg was not found.", reason="ffmpeg_missing")

    manager, _ = load({"explains": Explains})
    with pytest.raises(FfmpegFailed, match="was not found"):
        manager.publisher(FfmpegInput(()))
    manager, _ = load({"explains": Explains, "good": Good})
    assert manager.publisher(FfmpegInput(())) == Publisher(("Good",), "")


def test_the_nearest_installed_name_is_suggested() -> None:
    manager, _ = load({"virtual_camra": ()})
    assert "Did you mean 'virtual_camera'?" in manager.statuses[0].suggestion


def test_no_plugins_is_fine() -> None:
    manager, providers = load({})
    assert manager.statuses == ()
    assert providers == []
    assert manager.publisher(FfmpegInput(())) is None


def test_what_is_not_installed_is_not_found() -> None:
    assert installed("no_such_plugin_anywhere") == []


def test_a_loaded_plugin_has_the_version_of_its_distribution() -> None:
    manager = PluginManager()
    manager.load(PluginsConfig(enabled=("virtual_camera",)))
    (status,) = manager.statuses
    assert (status.state, status.version) == (PluginState.LOADED, version("camera-agent-virtual-camera"))


@pytest.mark.parametrize(
    ("held", "state"),
    [
        ({}, PluginState.FAILED),
        ({"tried": PluginError("It stopped the loop.", reason="quarantined")}, PluginState.QUARANTINED),
    ],
)
def test_a_plugin_that_is_not_loaded_has_the_version_of_its_distribution(
    held: dict[str, PluginError], state: PluginState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "tried_plugin-4.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tried-plugin\nVersion: 4.5\n")
    (metadata / "entry_points.txt").write_text("[camera_agent.plugins]\ntried = tried_plugin:Tried\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    manager = PluginManager()
    manager.load(PluginsConfig(enabled=("tried",)), held=held)
    (status,) = manager.statuses
    assert (status.state, status.version) == (state, "4.5")


def test_nothing_is_imported_that_is_not_enabled() -> None:
    before = set(sys.modules)
    installed("no_such_plugin_anywhere")
    assert not {name for name in set(sys.modules) - before if name.endswith(("_tier", "_camera", "_server"))}


def test_a_failure_comes_with_what_to_do() -> None:
    manager = PluginManager()
    manager.load(PluginsConfig(enabled=("nobody_has_this",)))
    assert "Install the package camera-agent-nobody-has-this" in manager.statuses[0].suggestion


def test_a_plugins_class_can_be_looked_at_without_constructing_it() -> None:
    with pytest.raises(PluginError, match="No plugin named 'nobody_has_this'"):
        plugin_class("nobody_has_this")
