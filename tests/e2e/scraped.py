"""Metrics of a whole agent as Prometheus sees them, beside what `get_metrics` says."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser

from agent_core.testing.agents import RunningAgent

__all__ = ("Scrape", "expected", "leaves", "scrape")

Key = tuple[str, frozenset[tuple[str, str]]]
#: The library's own annotations leave it out.
parse: Callable[[str], Iterator[Metric]] = parser.text_string_to_metric_families


class Scrape:
    """Samples of one answer by name and labels; a series that comes twice is refused by the parser before."""

    def __init__(self, text: str) -> None:
        families = list(parse(text))
        self.types = {each.name: each.type for each in families}
        self.samples: dict[Key, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for each in families
            for sample in each.samples
        }

    def get(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"camera_agent_{name}", frozenset(labels.items())))

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum over all series with these labels and any others."""
        wanted = labels.items()
        return sum(
            value
            for (found, has), value in self.samples.items()
            if found == f"camera_agent_{name}" and wanted <= dict(has).items()
        )

    def rising(self) -> dict[Key, float]:
        """Return the samples that must never fall."""
        return {
            key: value
            for key, value in self.samples.items()
            if key[0].startswith("camera_agent_")
            and key[0].endswith(("_total", "_count", "_bucket", "_seconds_sum"))
        }


async def scrape(http: httpx.AsyncClient, agent: RunningAgent) -> Scrape:
    headers = {"authorization": f"Bearer {agent.token('admin')}", "accept": "application/openmetrics-text"}
    response = await http.get(f"{agent.http_url}/metrics", headers=headers)
    assert response.status_code == 200
    return Scrape(response.text)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield each number of a result with its path; a bool is a number too."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}.{number}")
    elif isinstance(value, (int, float)):
        yield path, float(value)


def expected(seen: Scrape, told: Any) -> dict[str, float | None]:
    """Return what each number of `told`, a result of `get_metrics`, must be according to the scrape."""
    wanted: dict[str, float | None] = {
        "system_metrics.cpu_usage": _times(seen.get("host_cpu_ratio"), 100),
        "system_metrics.memory_usage": _times(seen.get("host_memory_ratio"), 100),
        "system_metrics.disk_usage": _times(seen.get("disk_used_ratio", files="recordings"), 100),
        "system_metrics.goroutines": seen.get("tasks"),
        "system_metrics.network_in": seen.get("host_network_received_bytes_total"),
        "system_metrics.network_out": seen.get("host_network_sent_bytes_total"),
        "system_metrics.load_average": seen.get("host_load_average"),
        "system_metrics.connections": seen.get("connections"),
        "camera_metrics.connected_cameras": seen.get("cameras", status="CONNECTED"),
        "recording_metrics.active_recordings": seen.sum("recordings"),
        "recording_metrics.started": seen.get("recordings_started_total"),
        "recording_metrics.failures": seen.get("recording_failures_total"),
        "recording_metrics.recoveries": seen.get("recording_recoveries_total"),
        "recording_metrics.stopped": seen.get("recordings_stopped_total"),
        "stream_metrics.active_streams": seen.get("streams_live"),
        "stream_metrics.total_streams": seen.get("streams"),
        "stream_metrics.total_viewers": seen.get("viewers"),
        "health_metrics.openings": seen.get("breaker_openings_total"),
        "health_metrics.probe_ms": _times(seen.get("media_server_probe_seconds"), 1000),
        "event_metrics.published": seen.get("events_published_total"),
        "event_metrics.dropped": seen.get("events_dropped_total"),
        "event_metrics.journal_events": seen.get("event_journal_events"),
        "event_metrics.journal_bytes": seen.get("event_journal_bytes"),
        "rpc_metrics.calls": seen.sum("rpc_duration_seconds_count"),
        "rpc_metrics.errors": seen.sum("rpc_errors_total"),
        **{
            f"path_metrics.{each}": seen.sum(f"path_{each}_total")
            for each in ("writes", "retries", "repairs")
        },
    }
    for camera in told["camera_metrics"]["cameras"]:
        wanted |= _camera(seen, camera)
    for camera in told["recording_metrics"]["recordings"]:
        at = f"recording_metrics.recordings.{camera}"
        wanted[f"{at}.file_size"] = seen.get("recording_bytes", camera=camera)
        wanted[f"{at}.duration"] = seen.get("recording_media_seconds", camera=camera)
    for number, tier in enumerate(told["snapshot_metrics"]["tiers"]):
        wanted |= _tier(seen, f"snapshot_metrics.tiers.{number}", tier)
    for path in told["path_metrics"]["paths"]:
        for each in ("writes", "retries", "repairs"):
            wanted[f"path_metrics.paths.{path}.{each}"] = seen.get(f"path_{each}_total", path=path)
    for method in told["rpc_metrics"]["methods"]:
        wanted |= _method(seen, method)
    return wanted


def _camera(seen: Scrape, camera: str) -> dict[str, float | None]:
    at = f"camera_metrics.cameras.{camera}"
    return {
        f"{at}.recording": float(seen.get("recording_bytes", camera=camera) is not None),
        f"{at}.live": seen.get("stream_live", camera=camera),
        f"{at}.readers": seen.get("stream_viewers", camera=camera),
        f"{at}.bytes_received": seen.get("stream_received_bytes_total", camera=camera),
        f"{at}.bytes_sent": seen.get("stream_sent_bytes_total", camera=camera),
        f"{at}.uptime": seen.get("camera_uptime_seconds", camera=camera) or 0.0,
    }


def _tier(seen: Scrape, at: str, tier: Any) -> dict[str, float | None]:
    labels = {"tier": tier["name"], "rank": str(tier["rank"])}
    pictures = seen.get("snapshot_duration_seconds_count", **labels)
    failures = seen.sum("snapshot_failures_total", **labels)
    return {
        f"{at}.rank": float(tier["rank"]),
        f"{at}.count": pictures,
        f"{at}.attempts": None if pictures is None else pictures + failures,
        f"{at}.p50_ms": _times(seen.get("snapshot_duration_seconds", quantile="0.5", **labels), 1000),
        f"{at}.p95_ms": _times(seen.get("snapshot_duration_seconds", quantile="0.95", **labels), 1000),
        **{
            f"{at}.{kind}.{reason}": seen.get(f"snapshot_{kind}_total", reason=reason, **labels)
            for kind in ("failures", "skips")
            for reason in tier[kind]
        },
    }


def _method(seen: Scrape, method: str) -> dict[str, float | None]:
    at = f"rpc_metrics.methods.{method}"
    count = seen.get("rpc_duration_seconds_count", method=method)
    total_s = seen.get("rpc_duration_seconds_sum", method=method)
    return {
        f"{at}.calls": count,
        f"{at}.errors": seen.get("rpc_errors_total", method=method),
        f"{at}.mean_ms": None if not count or total_s is None else total_s / count * 1000,
    }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
