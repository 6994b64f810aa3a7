"""Files of the watchdog in the state folder: stacks of a freeze, and the quarantine."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agent_core.base.errors import AgentError, LaterState, PluginError, StartFailed
from agent_core.base.files import StateFile, explain_os_error
from agent_core.base.host_times import HostTimes, host_times
from agent_core.base.state_versions import refuse_later, version_of
from agent_core.config.sections import AgentConfig
from agent_core.plugin_host.watchdog.origins import PluginOrigin, enabled_origins
from agent_core.plugin_host.watchdog.quarantine import Freeze, Quarantine, was_suspended
from agent_core.plugin_host.watchdog.stacks import culprit, parse_stacks, place_of

__all__ = ("HostTimes", "Review", "RunRecord", "host_times", "keep", "review", "stack_file")

#: Names in the state folder.
STACKS_NAME, QUARANTINE_NAME = "watchdog.txt", "quarantine.json"
#: Room for the stacks of 100 threads with 100 frames each.
_MAX_STACKS_BYTES = 1 << 21


class RunRecord(BaseModel):
    """First line of the file with the stacks: data needed to interpret them after the process has ended.

    `offset_s` is the total time that the host had been suspended since boot; `resumed` is True just after a resume.
    """

    model_config = ConfigDict(frozen=True)

    boot_id: str
    loop_thread: int
    timeout_s: float
    offset_s: float
    resumed: bool
    plugins: tuple[PluginOrigin, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """Content of the files: the current quarantine, and the end of the last run if the watchdog ended it.

    `ended` is a sentence about that end, else empty. `plugins` are the plugins that are enabled now.
    """

    quarantine: Quarantine
    plugins: tuple[PluginOrigin, ...]
    ended: str = ""
    freeze: Freeze | None = None
    problem: AgentError | None = None

    def held(self) -> dict[str, PluginError]:
        """Return the errors of the enabled plugins that are in quarantine, by name."""
        names = {each.name for each in self.plugins}
        return {each.plugin: each.error() for each in self.quarantine.held if each.plugin in names}


def review(config: AgentConfig, times: HostTimes) -> Review:
    """Read the files without changing them. An unreadable file counts as missing."""
    state_dir = config.storage.state_dir
    plugins = enabled_origins(config.plugins)
    quarantine = _stored(state_dir / QUARANTINE_NAME).of(plugins)
    if config.health.quarantine == "never":
        quarantine = Quarantine()
    last = _last_run(state_dir / STACKS_NAME)
    if last is None:
        return Review(quarantine, plugins)
    record, text, modified_s = last
    ended, freeze = _explained(record, text, modified_s, times)
    if freeze is None or config.health.quarantine == "never":
        return Review(quarantine, plugins, ended)
    return Review(quarantine.after(freeze, times.now).of(plugins), plugins, ended, freeze)


def keep(config: AgentConfig, found: Review) -> AgentError | None:
    """Store the quarantine if it has changed. Return the error if that fails, or a later version has written the file."""
    path = config.storage.state_dir / QUARANTINE_NAME
    with suppress(OSError):
        try:
            refuse_later(path.name, _read(path), version_of(Quarantine))
        except LaterState as error:
            return error
    if found.quarantine == _stored(path):
        return None
    try:
        StateFile(path, Quarantine).save(found.quarantine)
    except AgentError as error:
        return error
    return None


def _stored(path: Path) -> Quarantine:
    try:
        return Quarantine.model_validate_json(_read(path))
    except (OSError, ValidationError):
        return Quarantine()


def _last_run(path: Path) -> tuple[RunRecord, str, float] | None:
    """Return the record, the stacks and their time of writing; None if the watchdog did not end the last run."""
    try:
        text = _read(path).decode(errors="replace")
        modified_s = path.stat().st_mtime
        first, _, stacks = text.partition("\n")
        record = RunRecord.model_validate_json(first)
    except (OSError, ValidationError):
        return None
    return (record, stacks, modified_s) if "hread 0x" in stacks else None


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("not a regular file")
        return file.read(_MAX_STACKS_BYTES)


def _explained(
    record: RunRecord, text: str, modified_s: float, times: HostTimes
) -> tuple[str, Freeze | None]:
    """Return a sentence about the end of the run, and the freeze if it counts against a plugin."""
    stacks = parse_stacks(text)
    found = culprit(stacks, record.loop_thread, record.plugins)
    stood = f"the event loop stood still for {record.timeout_s:g} s"
    if found is None:
        return (
            f"The agent was ended by its watchdog: {stood} at {place_of(stacks, record.loop_thread)}.",
            None,
        )
    plugin = found.plugin
    ended = (
        f"The agent was ended by its watchdog: {stood} because of the plugin '{plugin.name}' ({found.place})."
    )
    same_boot = record.boot_id == times.boot_id
    if record.resumed or (same_boot and was_suspended(record.offset_s, times.monotonic_s, times.boottime_s)):
        return f"{ended} This does not count, because the host had been suspended.", None
    age_s = max(0.0, times.now.timestamp() - modified_s)
    return ended, Freeze(
        plugin=plugin.name,
        version=plugin.version,
        settings=plugin.settings,
        place=found.place,
        boot_id=times.boot_id,
        at_s=times.boottime_s - age_s,
    )


@contextmanager
def stack_file(config: AgentConfig) -> Iterator[int]:
    """Empty the file for stacks and yield its descriptor while the context is open.

    Raises:
        StartFailed: the file cannot be opened.
    """
    path = config.storage.state_dir / STACKS_NAME
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        why = explain_os_error(error, f"write {path}")
        raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error
    try:
        yield fd
    finally:
        os.close(fd)
