"""Numbers of recordings: those under way, and what has become of all since the agent's start."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import CameraId
from agent_core.recordings.active import Active
from agent_core.recordings.growth import Measured
from agent_core.recordings.models import RecordingState

__all__ = ("RECOVERED", "RecordingMeter", "RecordingMetrics", "RunningRecording")

#: Reason of the start of a recording that goes on after an error.
RECOVERED = "recovered"
#: States that a recording under way may have.
_STATES: tuple[tuple[str, ...], ...] = tuple(
    (each.value,) for each in (RecordingState.STARTING, RecordingState.RECORDING, RecordingState.ERROR)
)


@dataclass(frozen=True, slots=True)
class RunningRecording:
    """State and size of a recording under way, as the last look at its files found them."""

    state: RecordingState
    measured: Measured


@dataclass(frozen=True, slots=True)
class RecordingMetrics:
    """Recordings under way by camera, and counts since the agent's start.

    Attributes:
        started: recordings whose first picture was stored.
        failed: times that a recording stopped growing, or did not begin to.
        recovered: times that one grew again.
        stopped: recordings that have ended.
    """

    running: Mapping[CameraId, RunningRecording]
    started: int
    failed: int
    recovered: int
    stopped: int


class RecordingMeter:
    """Counts the events of recordings. `active` is the manager's own table."""

    def __init__(self, active: Mapping[CameraId, Active]) -> None:
        self._active = active
        self._events: Counter[str] = Counter()

    def saw(self, topic: str, reason: str) -> None:
        """Count an event of a recording."""
        self._events[RECOVERED if reason == RECOVERED else topic] += 1

    @property
    def metrics(self) -> RecordingMetrics:
        """The numbers as they are now."""
        return RecordingMetrics(
            {camera: RunningRecording(each.state, each.measured) for camera, each in self._active.items()},
            started=self._events["recording.start"],
            failed=self._events["recording.error"],
            recovered=self._events[RECOVERED],
            stopped=self._events["recording.stop"],
        )

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the numbers."""
        registry.gauge(
            "camera_agent_recordings",
            "Recordings under way by state.",
            lambda: (
                dict.fromkeys(_STATES, 0) | Counter((each.state.value,) for each in self._active.values())
            ),
            labels=("state",),
        )
        registry.gauge(
            "camera_agent_recording_bytes",
            "Size of a camera's recording under way.",
            lambda: {(camera,): each.measured.size_bytes for camera, each in self._active.items()},
            labels=("camera",),
        )
        registry.gauge(
            "camera_agent_recording_media_seconds",
            "Length of the media in a camera's recording under way.",
            lambda: {(camera,): each.measured.duration_s for camera, each in self._active.items()},
            labels=("camera",),
        )
        self._add_counters(registry)

    def _add_counters(self, registry: MetricRegistry) -> None:
        registry.counter(
            "camera_agent_recordings_started_total",
            "Recordings whose first picture was stored.",
            lambda: self.metrics.started,
        )
        registry.counter(
            "camera_agent_recording_failures_total",
            "Times that a recording stopped growing, or did not begin to.",
            lambda: self.metrics.failed,
        )
        registry.counter(
            "camera_agent_recording_recoveries_total",
            "Times that a recording grew again after a failure.",
            lambda: self.metrics.recovered,
        )
        registry.counter(
            "camera_agent_recordings_stopped_total",
            "Recordings that have ended.",
            lambda: self.metrics.stopped,
        )
