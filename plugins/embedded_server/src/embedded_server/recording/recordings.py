"""Recordings on disk, found by the `recordPath` of the current configuration."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from embedded_server.config.configuration import Configuration
from embedded_server.config.gotext import ConfigRefused, Json, time_text
from embedded_server.config.names import is_pattern, matches, why_bad
from embedded_server.recording.record_path import RecordPath
from embedded_server.recording.roots import RecordingRoots

__all__ = ("all_recordings", "delete_segment", "recordings_of")


def all_recordings(configuration: Configuration, roots: RecordingRoots) -> list[Json]:
    """List the paths that have segments, sorted by name."""
    names: set[str] = set()
    for configured in configuration.overrides:
        options = configuration.path(configured)
        if is_pattern(configured):
            found = {name for name, _ in _segments(_record_path(options, None), roots)}
            names |= {name for name in found if not why_bad(name) and matches(configured, name)}
        elif _segments(_record_path(options, configured), roots):
            names.add(configured)
    return [recordings_of(configuration, roots, name) for name in sorted(names)]


def recordings_of(configuration: Configuration, roots: RecordingRoots, name: str) -> dict[str, Json]:
    """List the segments of one path, which may have none.

    Raises:
        ConfigRefused: the name is invalid or matches no configuration.
    """
    _, options, _ = configuration.find(name)
    starts = sorted(start for _, start in _segments(_record_path(options, name), roots))
    return {"name": name, "segments": [{"start": time_text(start)} for start in starts]}


def delete_segment(configuration: Configuration, roots: RecordingRoots, name: str, start: str) -> None:
    """Remove the file of the segment that starts at `start`.

    Raises:
        ConfigRefused: the name or the time is invalid, or the file cannot be removed.
    """
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        layout = "2006-01-02T15:04:05Z07:00"
        raise ConfigRefused(
            f'invalid \'start\' parameter: parsing time "{start}" as "{layout}": cannot parse "{start}" as "2006"'
        )
    _, options, _ = configuration.find(name)
    try:
        file = _record_path(options, name).file(moment)
    except (ValueError, OverflowError):  # a year that UTC has not
        raise ConfigRefused("invalid 'start' parameter: out of range") from None
    try:
        roots.remove(file)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigRefused(f"remove {file}: {reason[:1].lower()}{reason[1:]}") from None


def _record_path(options: Mapping[str, Json], name: str | None) -> RecordPath:
    return RecordPath(str(options["recordPath"]), str(options["recordFormat"]), name)


def _segments(record_path: RecordPath, roots: RecordingRoots) -> list[tuple[str, datetime]]:
    folder = record_path.folder
    if not roots.holds(folder):
        return []
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return [segment for file in files if (segment := record_path.read(file)) is not None]
