from agent_core.api.views import Forms
from agent_core.rpc.topics import EventForms


def _event_forms(forms: Forms) -> EventForms:
    event_forms = EventForms()
    for topic in ("camera.connected", "camera.disconnected", "camera.status_change", "camera_status_update"):
        event_forms.register(topic, forms.camera_event)
    event_forms.register("snapshot.taken", forms.snapshot)
    for topic in ("recording.start", "recording.stop", "recording.error"):
        event_forms.register(topic, forms.recording_event)
    event_forms.register("recording_status_update", forms.recording_update)
    for topic in ("system.health", "system.startup", "system.shutdown", "system_health_update"):
        event_forms.register(topic, forms.system_event)
    event_forms.register("plugin.quarantined", forms.plugin_event)
    return event_forms
