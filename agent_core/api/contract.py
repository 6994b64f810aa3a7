"""Methods and topics of the core, collected from the modules by noun."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel

from agent_core.api.cameras import camera_event_form, camera_methods
from agent_core.api.configuration import configuration_methods
from agent_core.api.controls import control_methods, controls_event_form
from agent_core.api.pictures import picture_methods
from agent_core.api.placeholders import placeholders
from agent_core.api.recordings import recording_event_form, recording_methods, recording_update_form
from agent_core.api.schema.cameras import CameraEventForm
from agent_core.api.schema.controls import ControlsEventForm
from agent_core.api.schema.recordings import RecordingEventForm
from agent_core.api.schema.snapshots import SnapshotEventForm
from agent_core.api.schema.system import PluginEventForm, SystemEventForm
from agent_core.api.snapshots import snapshot_form, snapshot_methods
from agent_core.api.storage import storage_methods
from agent_core.api.streams import stream_methods
from agent_core.api.system import plugin_event_form, system_event_form, system_methods
from agent_core.auth.links import DownloadLinks, no_link
from agent_core.auth.roles import Principal
from agent_core.base.events import Stamp
from agent_core.controller import Controller
from agent_core.rpc.table import Method
from agent_core.rpc.topics import EventTopics, Render
from agent_core.snapshots.models import Snapshot

__all__ = ("core_methods", "core_topics")


#: Form and summary of the topics' notifications.
_EVENTS: Mapping[str, tuple[type[BaseModel], str]] = MappingProxyType(
    {
        "camera.connected": (CameraEventForm, "Tell that a camera is connected."),
        "camera.disconnected": (CameraEventForm, "Tell that a camera is no longer connected."),
        "camera.status_change": (CameraEventForm, "Tell each change of a camera."),
        "camera.controls": (ControlsEventForm, "Tell new values of a camera's controls."),
        "camera_status_update": (CameraEventForm, "Tell each change of a camera."),
        "snapshot.taken": (SnapshotEventForm, "Tell that a snapshot was stored."),
        "recording.start": (RecordingEventForm, "Tell that a recording has its first picture, or recovers."),
        "recording.stop": (RecordingEventForm, "Tell that a recording has ended."),
        "recording.error": (RecordingEventForm, "Tell that a recording does not grow."),
        "system.health": (SystemEventForm, "Tell a change of the agent's health."),
        "system.startup": (SystemEventForm, "Tell that every source has reported its cameras."),
        "system.shutdown": (SystemEventForm, "Tell that the agent ends."),
        "system_health_update": (SystemEventForm, "Tell a change of the agent's health."),
        "plugin.quarantined": (
            PluginEventForm,
            "Tell that a plugin is not loaded because it froze the agent.",
        ),
    }
)


def core_methods(controller: Controller, links: DownloadLinks) -> list[Method]:
    """Return all methods of the contract, in the order of `rpc.discover`; placeholders stand for missing ones."""
    take_snapshot, *snapshots = snapshot_methods(controller, links)
    *system, get_status = system_methods(controller)
    return [
        *camera_methods(controller),
        *control_methods(controller),
        *snapshots,
        *picture_methods(controller),
        *system,
        take_snapshot,
        get_status,
        *configuration_methods(controller),
        *placeholders(),
        *recording_methods(controller, links),
        *storage_methods(controller),
        *stream_methods(controller),
    ]


def core_topics(controller: Controller, links: DownloadLinks) -> EventTopics:
    """Return the core's topics, each with the function for the parameters of its notifications."""
    topics = EventTopics()

    def taken(snapshot: Snapshot, stamp: Stamp, receiver: Principal | None) -> SnapshotEventForm:
        taken = snapshot_form(snapshot, no_link if receiver is None else links.offered_to(receiver))
        return SnapshotEventForm(**dict(taken), sequence=stamp.sequence)

    renders: Mapping[type[BaseModel], Render] = {
        CameraEventForm: lambda event, stamp: camera_event_form(controller, event, stamp),
        ControlsEventForm: controls_event_form,
        RecordingEventForm: recording_event_form,
        SystemEventForm: system_event_form,
        PluginEventForm: plugin_event_form,
    }
    for topic, (form, summary) in _EVENTS.items():
        if form is SnapshotEventForm:
            topics.register_personal(topic, taken, form=form, summary=summary)
        else:
            topics.register(topic, renders[form], form=form, summary=summary)
    topics.register(
        "recording_status_update",
        recording_update_form,
        form=RecordingEventForm,
        summary="Tell the new state of a recording.",
    )
    return topics
