"""Methods and topics of the core, collected from the modules by noun."""

from agent_core.api.cameras import camera_event_form, camera_methods
from agent_core.api.placeholders import placeholders
from agent_core.api.recordings import recording_event_form, recording_methods, recording_update_form
from agent_core.api.snapshots import DownloadUrl, snapshot_form, snapshot_methods
from agent_core.api.streams import stream_methods
from agent_core.api.system import plugin_event_form, system_event_form, system_methods
from agent_core.controller import Controller
from agent_core.rpc.table import Method
from agent_core.rpc.topics import EventTopics

__all__ = ("core_methods", "core_topics")


def core_methods(controller: Controller, download_url: DownloadUrl) -> list[Method]:
    """Return all methods of the contract, in the order of `rpc.discover`; placeholders stand for missing ones."""
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


def core_topics(controller: Controller, download_url: DownloadUrl) -> EventTopics:
    """Return the core's topics, each with the function for the parameters of its notifications."""
    topics = EventTopics()
    for topic in ("camera.connected", "camera.disconnected", "camera.status_change", "camera_status_update"):
        topics.register(topic, lambda event, at: camera_event_form(controller, event, at))
    topics.register("snapshot.taken", lambda snapshot, _at: snapshot_form(snapshot, download_url))
    for topic in ("recording.start", "recording.stop", "recording.error"):
        topics.register(topic, recording_event_form)
    topics.register("recording_status_update", recording_update_form)
    for topic in ("system.health", "system.startup", "system.shutdown", "system_health_update"):
        topics.register(topic, system_event_form)
    topics.register("plugin.quarantined", plugin_event_form)
    return topics
