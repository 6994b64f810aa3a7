"""Rendering of the core's events as the parameters of notifications."""

from agent_core.api.cameras import camera_event_form
from agent_core.api.recordings import recording_event_form, recording_update_form
from agent_core.api.snapshots import DownloadUrl, snapshot_form
from agent_core.api.system import plugin_event_form, system_event_form
from agent_core.controller import Controller
from agent_core.rpc.topics import EventTopics

__all__ = ("core_topics",)


def core_topics(controller: Controller, download_url: DownloadUrl) -> EventTopics:
    """Return the core's topics, each with the function that makes the parameters of its notifications."""
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
