"""Events as the wire shows them."""

from agent_core.api.cameras import camera_event_form
from agent_core.api.recordings import recording_event_form, recording_update_form
from agent_core.api.snapshots import DownloadUrl, snapshot_form
from agent_core.api.system import plugin_event_form, system_event_form
from agent_core.controller import Controller
from agent_core.rpc.topics import EventForms

__all__ = ("event_forms",)


def event_forms(controller: Controller, download_url: DownloadUrl) -> EventForms:
    """Return the core's topics, each with the function that makes the parameters of its notifications."""
    forms = EventForms()
    now = controller.now
    for topic in ("camera.connected", "camera.disconnected", "camera.status_change", "camera_status_update"):
        forms.register(topic, lambda event: camera_event_form(controller, event, now()))
    forms.register("snapshot.taken", lambda snapshot: snapshot_form(snapshot, download_url))
    for topic in ("recording.start", "recording.stop", "recording.error"):
        forms.register(topic, lambda event: recording_event_form(event, now()))
    forms.register("recording_status_update", lambda event: recording_update_form(event, now()))
    for topic in ("system.health", "system.startup", "system.shutdown", "system_health_update"):
        forms.register(topic, lambda event: system_event_form(event, now()))
    forms.register("plugin.quarantined", lambda event: plugin_event_form(event, now()))
    return forms
