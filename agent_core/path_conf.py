"""What the path of a camera is configured with in the media server."""

import shlex

from agent_core.config import MediaServerConfig, RecordingsConfig
from agent_core.mediamtx.schema import PathConf
from agent_core.models import Camera, Url
from agent_core.plugin import Publisher

__all__ = ("path_conf", "recording_conf")

#: What the server puts in: its RTSP port and the path's name. It expands them in every word, quoted or not.
OUTPUT = "rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"


def path_conf(
    camera: Camera, publisher: Publisher | None, *, recording: PathConf, settings: MediaServerConfig
) -> PathConf:
    """`recording` and where the stream comes from: `publisher`, or without one the camera's URL."""
    if publisher is None:
        assert isinstance(camera.media_input, Url)  # noqa: S101 - what None means
        return recording.model_copy(
            update={
                "source": camera.media_input.url,
                "source_on_demand": True,
                "source_on_demand_start_timeout_s": settings.start_timeout_s,
                "source_on_demand_close_after_s": settings.close_after_s,
            }
        )
    return recording.model_copy(
        update={
            "source": "publisher",
            "run_on_demand": shlex.join([*publisher.argv, OUTPUT]),
            "run_on_demand_restart": True,
            "run_on_demand_start_timeout_s": settings.start_timeout_s,
            "run_on_demand_close_after_s": settings.close_after_s,
        }
    )


def recording_conf(form: str, record_path: str, settings: RecordingsConfig) -> PathConf:
    """What makes the media server record, below `record_path`; it must never delete what we list."""
    return PathConf(
        record=True,
        record_path=record_path,
        record_format=form,
        record_part_duration_s=settings.part_duration_s,
        record_segment_duration_s=settings.segment_duration_s,
        record_delete_after_s=0,
    )
