"""Format of a recording by the tracks of its camera, decided without I/O.

Apart from the controller, so that each container and each server is a line of a table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agent_core.base.models import Camera
from agent_core.recordings.models import RecordingFormat
from agent_core.streams import StreamService

__all__ = ("RecordingChoice", "choice_for", "chosen")

#: Data that is lost with the wrong container, so that it chooses the container.
_DATA = frozenset(("KLV",))
#: Codecs that recordings of the embedded server hold, and those that only MediaMTX's hold besides: see docs/mediamtx.md.
_HELD: Mapping[RecordingFormat, frozenset[str]] = MappingProxyType(
    {
        RecordingFormat.FMP4: frozenset(("H264", "H265", "AAC", "OPUS", "G711")),
        RecordingFormat.MPEGTS: frozenset(("H264", "H265", "AAC", "OPUS", "KLV")),
    }
)
_HELD_BY_MEDIAMTX: Mapping[RecordingFormat, frozenset[str]] = MappingProxyType(
    {
        RecordingFormat.FMP4: frozenset(
            ("AV1", "VP9", "MPEG4", "MPEG2", "MJPEG", "MP2", "AC3", "LPCM", "AAC-LATM")
        ),
        RecordingFormat.MPEGTS: frozenset(("MPEG4", "MPEG2", "MP2", "AC3", "AAC-LATM")),
    }
)


@dataclass(frozen=True, slots=True)
class RecordingChoice:
    """Format of a recording; `notes` are sentences about tracks that it leaves out, or that decided the format."""

    format: RecordingFormat
    notes: tuple[str, ...] = ()


def chosen(
    wanted: RecordingFormat | None,
    live: Sequence[str],
    *,
    offered: Sequence[str] = (),
    is_embedded: bool = False,
) -> RecordingChoice:
    """Return the format of a recording, and what the client should know about its tracks.

    Args:
        wanted: format that the client asks for; None for fmp4, or mpegts if the camera has data that needs it.
        live: tracks that the media server has, if they are known.
        offered: tracks that the camera's source reports.
        is_embedded: the media server is the embedded one.
    """
    tracks = live or offered
    data = [track for track in tracks if track in _DATA]
    form = wanted or (RecordingFormat.MPEGTS if data else RecordingFormat.FMP4)
    notes = [f"The media server does not carry the track {each}." for each in _not_carried(live, offered)]
    if wanted is None and data:
        notes.append(f"The format is mpegts, because fmp4 cannot hold the track {data[0]}.")
    for track in dict.fromkeys(tracks):
        if track not in _held(form, is_embedded=is_embedded):
            notes.append(_left_out(track, form, is_embedded=is_embedded))
        elif track in _DATA and wanted is not None:
            notes.append(f"The track {track} is recorded.")
    return RecordingChoice(form, tuple(notes))


def choice_for(streams: StreamService, camera: Camera, wanted: RecordingFormat | None) -> RecordingChoice:
    """Return `chosen` for a camera, by what is known of its stream."""
    return chosen(
        wanted,
        streams.tracks(camera),
        offered=streams.offered_tracks(camera),
        is_embedded=streams.has_embedded_server,
    )


def _not_carried(live: Sequence[str], offered: Iterable[str]) -> list[str]:
    return [track for track in offered if track in _DATA and live and track not in live]


def _held(form: RecordingFormat, *, is_embedded: bool) -> frozenset[str]:
    return _HELD[form] if is_embedded else _HELD[form] | _HELD_BY_MEDIAMTX[form]


def _left_out(track: str, form: RecordingFormat, *, is_embedded: bool) -> str:
    others = [each for each in RecordingFormat if track in _held(each, is_embedded=is_embedded)]
    said = f"The track {track} is left out: "
    if others:
        return f"{said}{form.value} cannot hold it; {others[0].value} can."
    return f"{said}the media server records it to no format."
