"""Checks of ports: those that the agent would use, and those of its media server while it runs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_core.cli.checks.host import look_at_port
from agent_core.cli.running import is_descendant, listener_pids, program_name
from agent_core.plugin import Finding, FindingStatus, MediaServer, Settings

if TYPE_CHECKING:
    from agent_core.config import MediaServerConfig
    from agent_core.plugin_host.models import Providers

__all__ = ("TcpPort", "look_at_foreign_listeners", "look_at_free_ports", "media_ports")


@dataclass(frozen=True, slots=True)
class TcpPort:
    """Port on which the media server listens, and the configuration key that sets it."""

    host: str
    number: int
    setting: str


def media_ports(
    settings: "MediaServerConfig",
    providers: "Iterable[Providers]",
    settings_of: Callable[[str], Settings | None],
) -> list[TcpPort]:
    """Return the fixed ports of a media server that the agent runs; none in mode external.

    Args:
        settings: settings of the media server.
        providers: providers of the loaded plugins, one of which may provide the media server.
        settings_of: returns the settings of a plugin by its name.
    """
    found: Iterator[TcpPort] = iter(())
    if settings.mode == "managed":
        found = _managed(settings)
    elif settings.mode == "embedded":
        found = _embedded(providers, settings_of)
    return [each for each in found if each.number]


def _managed(settings: "MediaServerConfig") -> Iterator[TcpPort]:
    host = "127.0.0.1" if settings.listen == "loopback" else ""
    yield TcpPort("127.0.0.1", settings.api_port, "media_server.api_port")
    yield TcpPort(host, settings.rtsp_port, "media_server.rtsp_port")
    if "hls" in settings.protocols:
        yield TcpPort(host, settings.hls_port, "media_server.hls_port")
    if "webrtc" in settings.protocols:
        yield TcpPort(host, settings.webrtc_port, "media_server.webrtc_port")


def _embedded(
    providers: "Iterable[Providers]", settings_of: Callable[[str], Settings | None]
) -> Iterator[TcpPort]:
    """Yield the settings of the media server's plugin that are ports by their names."""
    served = (each for each in providers if any(isinstance(part, MediaServer) for part in each.components))
    plugin = next((each.plugin for each in served), "")
    known = settings_of(plugin) if plugin else None
    values = dict(known) if known is not None else {}
    for key, value in values.items():
        if key.endswith("_port") and isinstance(value, int):
            yield TcpPort(str(values.get("host", "127.0.0.1")), value, f"plugins.{plugin}.{key}")


def look_at_free_ports(ports: Iterable[TcpPort]) -> list[Finding]:
    """Check that a media server could listen on `ports`. Call only while no agent runs."""
    return [
        finding
        for each in ports
        for finding in look_at_port("media server port", each.host, each.number, each.setting)
    ]


def look_at_foreign_listeners(ports: Iterable[TcpPort], agent: int) -> list[Finding]:
    """Check that no other program listens on `ports` instead of the process `agent` and its children.

    Only programs that are visible to this user count: for root, all.
    """
    findings = []
    for port in ports:
        listeners = listener_pids(port.number)
        if listeners and not any(is_descendant(each, agent) for each in listeners):
            by = " and ".join(program_name(each) for each in sorted(listeners))
            detail = (
                f"Port {port.number} of the media server is used by {by}, which the agent has not started."
            )
            step = f"Stop that program, or set {port.setting} to another port and restart the agent."
            findings.append(Finding("media server port", FindingStatus.FAILED, detail, step))
    return findings
