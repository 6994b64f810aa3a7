"""Text of `/metrics`, in the Prometheus text format."""

from collections.abc import Iterator, Mapping

__all__ = ("metric_lines",)


def metric_lines(*, cameras: Mapping[str, int], connections: int) -> Iterator[str]:
    """Yield the lines, without line ends.

    Args:
        cameras: number of cameras by status.
        connections: number of open WebSocket connections.
    """
    yield "# HELP camera_agent_cameras Cameras by status."
    yield "# TYPE camera_agent_cameras gauge"
    for status, count in sorted(cameras.items()):
        yield f'camera_agent_cameras{{status="{status}"}} {count}'
    yield "# HELP camera_agent_connections Open WebSocket connections."
    yield "# TYPE camera_agent_connections gauge"
    yield f"camera_agent_connections {connections}"
