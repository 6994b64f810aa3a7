"""Methods of the contract, as methods of the clients.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from agent_core.client.methods.cameras import CamerasMethods, SyncCamerasMethods
from agent_core.client.methods.configuration import ConfigurationMethods, SyncConfigurationMethods
from agent_core.client.methods.controls import ControlsMethods, SyncControlsMethods
from agent_core.client.methods.keys import KeysMethods, SyncKeysMethods
from agent_core.client.methods.metrics import MetricsMethods, SyncMetricsMethods
from agent_core.client.methods.pictures import PicturesMethods, SyncPicturesMethods
from agent_core.client.methods.recordings import RecordingsMethods, SyncRecordingsMethods
from agent_core.client.methods.session import SessionMethods, SyncSessionMethods
from agent_core.client.methods.snapshots import SnapshotsMethods, SyncSnapshotsMethods
from agent_core.client.methods.storage import StorageMethods, SyncStorageMethods
from agent_core.client.methods.streams import StreamsMethods, SyncStreamsMethods
from agent_core.client.methods.system import SyncSystemMethods, SystemMethods
from agent_core.client.methods.views import SyncViewsMethods, ViewsMethods

__all__ = ("READS", "AgentMethods", "SyncAgentMethods")

#: Methods whose answer is their only effect, so that repeating one does no harm.
READS = frozenset(
    [
        "get_camera_capabilities",
        "get_camera_list",
        "get_camera_status",
        "get_external_streams",
        "get_metrics",
        "get_picture",
        "get_recording_info",
        "get_server_info",
        "get_snapshot_info",
        "get_status",
        "get_storage_info",
        "get_stream_status",
        "get_stream_url",
        "get_streams",
        "get_subscription_stats",
        "get_system_status",
        "list_api_keys",
        "list_recordings",
        "list_snapshots",
        "list_view_links",
        "ping",
        "rpc.discover",
        "subscribe_events",
        "unsubscribe_events",
    ]
)


class AgentMethods(
    CamerasMethods,
    ConfigurationMethods,
    ControlsMethods,
    KeysMethods,
    MetricsMethods,
    PicturesMethods,
    RecordingsMethods,
    SessionMethods,
    SnapshotsMethods,
    StorageMethods,
    StreamsMethods,
    SystemMethods,
    ViewsMethods,
):
    """Methods of the contract."""


class SyncAgentMethods(
    SyncCamerasMethods,
    SyncConfigurationMethods,
    SyncControlsMethods,
    SyncKeysMethods,
    SyncMetricsMethods,
    SyncPicturesMethods,
    SyncRecordingsMethods,
    SyncSessionMethods,
    SyncSnapshotsMethods,
    SyncStorageMethods,
    SyncStreamsMethods,
    SyncSystemMethods,
    SyncViewsMethods,
):
    """Methods of the contract, which block the calling thread."""
