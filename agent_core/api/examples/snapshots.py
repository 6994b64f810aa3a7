"""Examples of the methods about snapshots, and about pictures that are not stored."""

from agent_core.api.examples.story import CAMERA, SNAPSHOT, TAKEN_AT, link
from agent_core.api.schema.params import Deleted, ListParams, NameParams
from agent_core.api.schema.pictures import GetPictureParams, PictureForm
from agent_core.api.schema.snapshots import FileForm, FileList, SnapshotForm, SnapshotInfo, TakeSnapshotParams
from agent_core.base.models import CapturedAtSource, PictureFormat
from agent_core.plugin import MethodExample

__all__ = ("delete_snapshot", "get_picture", "get_snapshot_info", "list_snapshots", "take_snapshot")

_PATH = f"/var/lib/camera-agent/snapshots/{SNAPSHOT}"
_SIZE_BYTES = 33_404
#: The beginning of a JPEG stands for the whole.
_PICTURE = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRof"


def take_snapshot() -> MethodExample:
    snapshot = SnapshotForm(
        device=CAMERA,
        filename=SNAPSHOT,
        file_path=_PATH,
        file_size=_SIZE_BYTES,
        resolution="640x480",
        format=PictureFormat.JPG,
        tier_used=0,
        tier_name="frames",
        capture_time=0.081,
        timestamp=TAKEN_AT,
        captured_at=TAKEN_AT,
        captured_at_source=CapturedAtSource.DEVICE,
        age_ms=35,
        settled=True,
        tiers_tried=[],
        download_url=link(f"snapshots/{SNAPSHOT}"),
    )
    return MethodExample(TakeSnapshotParams(device=CAMERA, max_age_ms=500), snapshot)


def list_snapshots() -> MethodExample:
    stored = FileForm(
        filename=SNAPSHOT,
        device=CAMERA,
        file_size=_SIZE_BYTES,
        modified_time=TAKEN_AT,
        format="jpg",
        download_url=link(f"snapshots/{SNAPSHOT}"),
        thumbnail_url=link(f"thumbnails/snapshots/{SNAPSHOT}.jpg"),
    )
    return MethodExample(
        ListParams(device=CAMERA, limit=10),
        FileList(files=[stored], total=1, limit=10, offset=0),
        after=("take_snapshot",),
    )


def get_snapshot_info() -> MethodExample:
    info = SnapshotInfo(
        filename=SNAPSHOT,
        device=CAMERA,
        file_size=_SIZE_BYTES,
        created_time=TAKEN_AT,
        timestamp=TAKEN_AT,
        resolution="640x480",
        format=PictureFormat.JPG,
        file_path=_PATH,
        download_url=link(f"snapshots/{SNAPSHOT}"),
        thumbnail_url=link(f"thumbnails/snapshots/{SNAPSHOT}.jpg"),
    )
    return MethodExample(NameParams(filename=SNAPSHOT), info, after=("take_snapshot",))


def delete_snapshot() -> MethodExample:
    deleted = Deleted(filename=SNAPSHOT, message="The snapshot was deleted.")
    return MethodExample(NameParams(filename=SNAPSHOT), deleted, after=("take_snapshot",))


def get_picture() -> MethodExample:
    picture = PictureForm(
        device=CAMERA,
        content_type="image/jpeg",
        width=320,
        height=240,
        size_bytes=8_412,
        timestamp=TAKEN_AT,
        captured_at=TAKEN_AT,
        captured_at_source=CapturedAtSource.DEVICE,
        age_ms=35,
        settled=True,
        tier_used=0,
        tier_name="frames",
        data=_PICTURE,
    )
    return MethodExample(GetPictureParams(device=CAMERA, width=320), picture)
