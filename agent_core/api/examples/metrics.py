"""Example of `get_metrics`. Apart from the methods, so that their rows stay short to read."""

from agent_core.api.examples.story import CAMERA, TAKEN_AT
from agent_core.api.schema import metrics as wire
from agent_core.api.schema.params import NoParams
from agent_core.base.models import CameraStatus
from agent_core.plugin import MethodExample

__all__ = ("get_metrics",)


def _camera() -> wire.CameraMetricsForm:
    return wire.CameraMetricsForm(
        status=CameraStatus.CONNECTED,
        recording=False,
        live=True,
        readers=0,
        bytes_received=583_018,
        bytes_sent=0,
        uptime=61.5,
    )


def _host() -> wire.SystemMetricsForm:
    return wire.SystemMetricsForm(
        cpu_usage=12.5,
        memory_usage=41.8,
        disk_usage=35.7,
        goroutines=98,
        network_in=19_772_056,
        network_out=52_469_359,
        load_average=0.71,
        connections=1,
    )


def get_metrics() -> MethodExample:
    tier = wire.TierMetricsForm(
        rank=0, name="frames", count=1, attempts=1, failures={}, skips={}, p50_ms=81.2, p95_ms=81.2
    )
    path = wire.PathCountersForm(writes=3, retries=0, repairs=0)
    call = wire.MethodMetricsForm(calls=1, errors=0, mean_ms=1.164)
    metrics = wire.MetricsForm(
        timestamp=TAKEN_AT,
        system_metrics=_host(),
        camera_metrics=wire.CamerasMetricsForm(connected_cameras=1, cameras={CAMERA: _camera()}),
        recording_metrics=wire.RecordingMetricsForm(
            active_recordings=0, recordings={}, started=1, failures=0, recoveries=0, stopped=1
        ),
        stream_metrics=wire.StreamMetricsForm(active_streams=1, total_streams=1, total_viewers=0),
        snapshot_metrics=wire.SnapshotMetricsForm(tiers=[tier]),
        path_metrics=wire.PathMetricsForm(writes=3, retries=0, repairs=0, paths={CAMERA: path}),
        health_metrics=wire.HealthMetricsForm(status="HEALTHY", breaker="closed", openings=0, probe_ms=2.4),
        event_metrics=wire.EventMetricsForm(published=6, dropped=0, journal_events=6, journal_bytes=13824),
        rpc_metrics=wire.RpcMetricsForm(calls=1, errors=0, methods={"get_camera_list": call}),
    )
    return MethodExample(NoParams(), metrics)
