"""Stand-ins for the objects that the core lends to plugins."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.controls import ChangedControls
from agent_core.base.errors import AgentError
from agent_core.base.models import Camera, DetectedCamera
from agent_core.testing.sessions import FakeSessions
from agent_core.testing.streams import FakeStreams

__all__ = ("FakeAgent", "FakeCameras", "FakeEvents", "FakeRedirects", "RecordingReport")

#: Limit of each wait for a report, generous for a loaded machine.
_WAIT_LIMIT_S = 20.0


class FakeCameras:
    """`CameraDirectory` over `known`, a list that a test may change."""

    def __init__(self) -> None:
        self.known: list[Camera] = []

    def list(self) -> Sequence[Camera]:
        return self.known


@dataclass
class FakeRedirects:
    """`CameraRedirects` that answers for each path with what `answers` has, and with None for others.

    `asked` has each path and URL, in order.
    """

    answers: dict[str, str | AgentError] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def admit(self, path: str, url: str) -> str | None:
        self.asked.append((path, url))
        answer = self.answers.get(path)
        if isinstance(answer, AgentError):
            raise answer
        return answer


@dataclass
class FakeEvents:
    """`EventPublisher` that keeps each topic and payload, in order, and checks neither."""

    published: list[tuple[str, object]] = field(default_factory=list)

    def publish(self, topic: str, payload: object) -> None:
        self.published.append((topic, payload))


@dataclass
class FakeAgent:
    """`AgentContext` without an agent; all its folders are `runtime_dir`."""

    runtime_dir: Path
    ffmpeg: str | None = None
    plugins: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    cameras: FakeCameras = field(default_factory=FakeCameras)
    redirects: FakeRedirects = field(default_factory=FakeRedirects)
    events: FakeEvents = field(default_factory=FakeEvents)
    streams: FakeStreams = field(init=False)
    sessions: FakeSessions = field(init=False)

    def __post_init__(self) -> None:
        self.streams = FakeStreams(self.clock)
        self.sessions = FakeSessions(self.clock)

    @property
    def state_dir(self) -> Path:
        return self.runtime_dir

    @property
    def recordings_dir(self) -> Path:
        return self.runtime_dir


class RecordingReport:
    """`CameraReport` that keeps every call; those of `controls` apart from the others.

    Attributes:
        cameras: cameras by key that were reported and not disconnected since, failed ones included.
        history: name of the method and key of the camera, for each call in order.
        reasons: reason of each call in order, empty for `connected`.
        changed_controls: what was reported by `controls`, in order, by the camera's key.
    """

    def __init__(self) -> None:
        self.cameras: dict[str, DetectedCamera] = {}
        self.history: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        self.changed_controls: defaultdict[str, list[ChangedControls]] = defaultdict(list)
        self._changed = anyio.Event()

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Key and reason of each call of `disconnected`."""
        return self._reasons_of("disconnected")

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Key and reason of each call of `failed`."""
        return self._reasons_of("failed")

    def connected(self, camera: DetectedCamera) -> None:
        self.cameras[camera.key] = camera
        self._keep("connected", camera.key, "")

    def disconnected(self, key: str, reason: str) -> None:
        _check(reason)
        self.cameras.pop(key, None)
        self._keep("disconnected", key, reason)

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        _check(reason)
        if camera is not None:
            self.cameras[key] = camera
        self._keep("failed", key, reason)

    def removed(self, key: str, reason: str) -> None:
        _check(reason)
        self.cameras.pop(key, None)
        self._keep("removed", key, reason)

    def controls(self, key: str, changed: ChangedControls) -> None:
        self.changed_controls[key].append(changed)
        self._announce()

    async def wait_controls(self, key: str, count: int) -> None:
        """Wait until `controls` was called `count` times for a camera.

        Raises:
            TimeoutError: fewer came within 20 s.
        """
        with anyio.fail_after(_WAIT_LIMIT_S):
            while len(self.changed_controls[key]) < count:
                await self._changed.wait()

    async def wait_count(self, count: int) -> None:
        """Wait until `count` calls have come in all.

        Raises:
            TimeoutError: fewer came within 20 s.
        """
        with anyio.fail_after(_WAIT_LIMIT_S):
            while len(self.history) < count:
                await self._changed.wait()

    async def until(self, *history: tuple[str, str]) -> None:
        """Wait until as many calls have come, and assert that `history` is all of them."""
        await self.wait_count(len(history))
        assert self.history == [*history]

    def _keep(self, method: str, key: str, reason: str) -> None:
        self.history.append((method, key))
        self.reasons.append(reason)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _reasons_of(self, method: str) -> list[tuple[str, str]]:
        calls = zip(self.history, self.reasons, strict=True)
        return [(key, reason) for (name, key), reason in calls if name == method]


def _check(reason: str) -> None:
    """Assert that a source may tell an operator `reason`."""
    assert reason.strip(), "the report has no reason: pass a sentence for the operator"
    assert "/dev/" not in reason, f"the reason shows a device path to clients: {reason!r}"
