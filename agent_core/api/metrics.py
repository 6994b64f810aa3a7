"""Method `get_metrics`, and the wire form of the agent's numbers. `/metrics` shows the same numbers to Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_core.api.examples import metrics as examples
from agent_core.api.schema import metrics as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.base.models import CameraStatus
from agent_core.controller import AgentMetrics, Controller
from agent_core.rpc.call_meter import MethodMetrics
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import Caller, Method

__all__ = ("metrics_methods",)


@dataclass(frozen=True, slots=True)
class _Handlers:
    controller: Controller
    sessions: Sessions

    async def get_metrics(self, params: NoParams, caller: Caller) -> wire.MetricsForm:
        await self.controller.prepare_metrics()
        seen = self.controller.metrics()
        return wire.MetricsForm(
            timestamp=self.controller.now(),
            system_metrics=_system(seen, len(self.sessions)),
            camera_metrics=_cameras(seen),
            recording_metrics=_recordings(seen),
            stream_metrics=wire.StreamMetricsForm(
                active_streams=seen.totals.live,
                total_streams=seen.totals.paths,
                total_viewers=seen.totals.viewers,
            ),
            snapshot_metrics=wire.SnapshotMetricsForm(tiers=_tiers(seen)),
            path_metrics=_paths(seen),
            health_metrics=wire.HealthMetricsForm(
                status=seen.health.status.value,
                breaker=seen.breaker.state.value,
                openings=seen.breaker.openings,
                probe_ms=_ms(seen.health.probe_s),
            ),
            event_metrics=wire.EventMetricsForm(
                published=seen.events_published,
                dropped=seen.events_dropped,
                journal_events=len(self.sessions.journal),
                journal_bytes=self.sessions.journal.size_bytes,
            ),
            rpc_metrics=_rpc(self.sessions.calls.methods),
        )


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s * 1000, 3)


def _percent(ratio: float) -> float:
    return round(ratio * 100, 2)


def _system(seen: AgentMetrics, connections: int) -> wire.SystemMetricsForm:
    disk_usage = None if seen.disk is None else _percent(seen.disk.used_ratio)
    host = seen.host
    if host is None:
        return wire.SystemMetricsForm(disk_usage=disk_usage, connections=connections)
    return wire.SystemMetricsForm(
        cpu_usage=_percent(host.cpu_ratio),
        memory_usage=_percent(host.memory_ratio),
        disk_usage=disk_usage,
        goroutines=host.tasks,
        network_in=host.received_bytes,
        network_out=host.sent_bytes,
        load_average=round(host.load_average, 2),
        connections=connections,
    )


def _cameras(seen: AgentMetrics) -> wire.CamerasMetricsForm:
    return wire.CamerasMetricsForm(
        connected_cameras=sum(each.camera.status is CameraStatus.CONNECTED for each in seen.cameras),
        cameras={
            each.camera.id: wire.CameraMetricsForm(
                status=each.camera.status,
                recording=each.is_recording,
                live=each.traffic.is_live,
                readers=each.traffic.viewers,
                bytes_received=each.traffic.received_bytes,
                bytes_sent=each.traffic.sent_bytes,
                uptime=round(each.uptime_s, 3),
            )
            for each in seen.cameras
        },
    )


def _recordings(seen: AgentMetrics) -> wire.RecordingMetricsForm:
    counted = seen.recordings
    return wire.RecordingMetricsForm(
        active_recordings=len(counted.running),
        recordings={
            camera: wire.RunningRecordingForm(
                state=each.state.value,
                file_size=each.measured.size_bytes,
                duration=round(each.measured.duration_s, 3),
            )
            for camera, each in counted.running.items()
        },
        started=counted.started,
        failures=counted.failed,
        recoveries=counted.recovered,
        stopped=counted.stopped,
    )


def _tiers(seen: AgentMetrics) -> list[wire.TierMetricsForm]:
    return [
        wire.TierMetricsForm(
            rank=each.rank,
            name=each.name,
            count=each.pictures,
            attempts=each.attempts,
            failures=dict(each.failures),
            skips=dict(each.skips),
            p50_ms=_ms(each.durations.p50_s if each.durations else None),
            p95_ms=_ms(each.durations.p95_s if each.durations else None),
        )
        for each in seen.tiers
    ]


def _paths(seen: AgentMetrics) -> wire.PathMetricsForm:
    counters = seen.paths
    return wire.PathMetricsForm(
        writes=sum(each.writes for each in counters.values()),
        retries=sum(each.retries for each in counters.values()),
        repairs=sum(each.repairs for each in counters.values()),
        paths={
            name: wire.PathCountersForm(writes=each.writes, retries=each.retries, repairs=each.repairs)
            for camera in seen.cameras
            if (each := counters.get(name := camera.camera.id)) is not None
        },
    )


def _rpc(seen: Mapping[str, MethodMetrics]) -> wire.RpcMetricsForm:
    return wire.RpcMetricsForm(
        calls=sum(each.calls for each in seen.values()),
        errors=sum(each.errors for each in seen.values()),
        methods={
            name: wire.MethodMetricsForm(
                calls=each.calls, errors=each.errors, mean_ms=round(each.total_s / each.calls * 1000, 3)
            )
            for name, each in seen.items()
        },
    )


def metrics_methods(controller: Controller, sessions: Sessions) -> list[Method]:
    """Return the row of the method table; `sessions` are those whose calls and connections are counted."""
    do = _Handlers(controller, sessions)
    return [
        Method(
            "get_metrics",
            Role.ADMIN,
            "Return the numbers of the agent and its services, from memory.",
            NoParams,
            wire.MetricsForm,
            do.get_metrics,
            example=examples.get_metrics,
        )
    ]
