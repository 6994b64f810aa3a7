"""All methods of the core, in the order in which `rpc.discover` lists them."""

from agent_core.api.cameras import camera_methods
from agent_core.api.placeholders import placeholders
from agent_core.api.recordings import recording_methods
from agent_core.api.snapshots import DownloadUrl, snapshot_methods
from agent_core.api.streams import stream_methods
from agent_core.api.system import system_methods
from agent_core.controller import Controller
from agent_core.rpc.table import Method

__all__ = ("core_methods",)


def core_methods(controller: Controller, download_url: DownloadUrl) -> list[Method]:
    """Return the methods that the core answers, with a placeholder for each other method of the contract."""
    take_snapshot, *snapshots = snapshot_methods(controller, download_url)
    *system, get_status = system_methods(controller)
    return [
        *camera_methods(controller),
        *snapshots,
        *system,
        take_snapshot,
        get_status,
        *placeholders(),
        *recording_methods(controller, download_url),
        *stream_methods(controller),
    ]
