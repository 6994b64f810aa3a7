"""Configuration of the media server's paths: one path at a time, idempotent, verified.

Touches named paths only; never `all_others`, a regular expression or a global setting.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.errors import (
    InvalidParams,
    InvalidState,
    MediaServerError,
    MediaServerRefused,
    MediaServerUnavailable,
)
from agent_core.base.locks import KeyedLock
from agent_core.mediamtx.breaker import CircuitOpen
from agent_core.mediamtx.schema import HOT_KEYS, PathConf

if TYPE_CHECKING:
    from agent_core.mediamtx.client import MediaServerClient

__all__ = ("PathCounters", "PathDeferred", "PathManager", "without_recording")

_log = logging.getLogger("camera_agent.paths")

#: After a transport error or a 5xx; a restarting MediaMTX is back within 2 s.
RETRY_DELAYS_S = (0.1, 0.3, 0.9)
#: The server answers a write before it applies it (v1.20.1), normally within a few milliseconds.
_APPLY_TIMEOUT_S = 3.0
_POLL_S = (0.002, 0.005, 0.01, 0.02, 0.05)
#: Longest time until a path that "exists already" shows.
_APPEAR_TIMEOUT_S = 0.25
_NAME = re.compile(r"[0-9A-Za-z_.-]+(?:/[0-9A-Za-z_.-]+)*", re.ASCII)
#: Names under which MediaMTX configures all other paths.
_SHARED = frozenset(("all", "all_others"))
#: Keys that decide where a path's stream comes from.
_FED_BY = frozenset(("source", "runOnDemand"))
_RECORD_FIELDS = tuple(name for name in PathConf.model_fields if name.startswith("record"))


@dataclass(frozen=True, slots=True)
class PathCounters:
    """Counts of `writes` sent, `retries` after failures, and `repairs` of paths that differed from what was asked for."""

    writes: int = 0
    retries: int = 0
    repairs: int = 0

    def __add__(self, other: "PathCounters") -> "PathCounters":
        return PathCounters(
            self.writes + other.writes, self.retries + other.retries, self.repairs + other.repairs
        )


class PathDeferred(InvalidState):
    """Error of a change that would end a stream in use; until it is made the stream has the same source."""


class PathManager:
    """Configures paths. Serialises the callers of one path; callers of different paths do not wait for each other.

    A cancelled call leaves its path absent, unchanged or complete. All methods raise `InvalidParams` for a name that
    is not that of a single path, and `MediaServerUnavailable` after the retries.

    Args:
        retry_delays_s: pauses before the retries, one for each.
    """

    def __init__(
        self,
        client: "MediaServerClient",
        *,
        clock: Clock | None = None,
        retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
    ) -> None:
        self._client = client
        self._clock = clock or SystemClock()
        self._retry_delays_s = retry_delays_s
        self._locks = KeyedLock()
        self._counters: dict[str, PathCounters] = {}
        #: Paths that the server had when last asked: if one is absent now, the server has lost it.
        self._known: set[str] = set()
        #: The keys that were last logged as different, by path.
        self._differing: dict[str, str] = {}

    @property
    def counters(self) -> Mapping[str, PathCounters]:
        """The counters of each path that a caller has named."""
        return self._counters

    @property
    def total(self) -> PathCounters:
        """The sums over all paths."""
        return sum(self._counters.values(), PathCounters())

    async def ensure(self, name: str, conf: PathConf, *, leave_recording: bool = False) -> None:
        """Create or change the path so that it has the settings of `conf`; return when the server shows them.

        A path that has them already is left alone. Hot settings are patched; other changes replace all settings of
        the path except those for recording, and only while the path is unused. With `leave_recording`, the recording
        settings of `conf` are used only if the path is created; those of an existing path stay.

        Raises:
            InvalidState: `path_in_use`: the change would end a stream; `PathDeferred` if its source would stay the same.
            MediaServerRefused: the server does not accept `conf`.
            MediaServerError: `not_applied`: the server accepted `conf`, but does not show it.
        """
        await self._serialised(name, partial(self._ensure, name, conf, leave_recording=leave_recording))

    async def patch_record(self, name: str, conf: PathConf) -> None:
        """Change the recording settings of an existing path, without disturbing its publisher or readers.

        `conf` has `record*` fields only. Sends one PATCH without reading first: it is harmless if nothing changes.

        Raises:
            MediaServerRefused: status 404: the path is not configured.
            InvalidState: `path_in_use`: a server before v1.15.1 would end the stream to change more than `record`.
            MediaServerError: as `ensure`.
        """
        foreign = conf.wire().keys() - HOT_KEYS
        if foreign:
            msg = f"not about recording: {', '.join(sorted(foreign))}"
            raise ValueError(msg)
        await self._serialised(name, partial(self._patch_record, name, conf))

    async def remove(self, name: str) -> None:
        """Remove the path and end its streams; succeeds if the path is absent."""
        await self._serialised(name, partial(self._remove, name))

    async def withdraw(self, name: str) -> None:
        """Remove the path unless it is live; succeeds if the path is absent.

        Raises:
            InvalidState: `path_in_use`: the path has a stream; nothing has changed.
        """
        await self._serialised(name, partial(self._withdraw, name))

    async def _serialised(self, name: str, attempt: Callable[[], Awaitable[None]]) -> None:
        _check_name(name)
        async with self._locks.hold(name):
            for delay_s in self._retry_delays_s:
                try:
                    return await attempt()
                except CircuitOpen:
                    raise
                except MediaServerUnavailable:
                    self._count(name, retries=1)
                    await self._clock.sleep(delay_s)
            return await attempt()

    def _count(self, name: str, *, writes: int = 0, retries: int = 0, repairs: int = 0) -> None:
        so_far = self._counters.get(name, PathCounters())
        self._counters[name] = so_far + PathCounters(writes, retries, repairs)

    async def _ensure(self, name: str, conf: PathConf, *, leave_recording: bool) -> None:
        actual = await self._client.path_config(name) or await self._add(name, conf)
        if actual is not None and leave_recording:
            conf = without_recording(conf)
        if actual is None:
            await self._applied(name, conf)
            await self._until(partial(self._at_run_time, name))
            self._note_made(name)
        elif (missing := conf.missing_from(actual)) != PathConf():
            await self._change(name, conf, missing, actual)
        self._known.add(name)
        self._differing.pop(name, None)

    def _note_made(self, name: str) -> None:
        if name in self._known:
            self._count(name, repairs=1)
            _log.warning("the media server had lost path %s; it is configured again", name)

    async def _add(self, name: str, conf: PathConf) -> PathConf | None:
        """Create the path and return None, or return the settings of a path that exists already.

        A cancelled call of ours may have created it after all, so it may not have appeared yet.
        """
        self._count(name, writes=1)
        try:
            await self._client.add_path(name, conf)
        except MediaServerRefused:
            if not await self._within(_APPEAR_TIMEOUT_S, partial(self._configured, name)):
                raise
            return await self._client.path_config(name)
        return None

    async def _change(self, name: str, conf: PathConf, missing: PathConf, actual: PathConf) -> None:
        self._log_difference(name, ", ".join(sorted(missing.wire())))
        if missing.wire().keys() <= (await self._client.features()).hot_keys:
            self._count(name, writes=1, repairs=1)
            await self._client.patch_path(name, missing)
        else:
            await self._check_unused(name, missing)
            self._count(name, writes=1, repairs=1)
            await self._client.replace_path(name, _with_recording_of(actual, conf))
        await self._applied(name, conf)

    def _log_difference(self, name: str, keys: str) -> None:
        """Log each difference once; a deferred change is found again every few seconds."""
        if self._differing.get(name) != keys:
            self._differing[name] = keys
            _log.info("path %s differs from its plan: %s", name, keys)

    async def _patch_record(self, name: str, conf: PathConf) -> None:
        if not conf.wire().keys() <= (await self._client.features()).hot_keys:
            actual = await self._client.path_config(name)
            missing = conf.missing_from(actual) if actual else conf
            if not missing.wire().keys() <= {"record"}:
                await self._check_unused(name, missing)
        self._count(name, writes=1)
        await self._client.patch_path(name, conf)
        await self._applied(name, conf)

    async def _remove(self, name: str) -> None:
        self._known.discard(name)
        self._count(name, writes=1)
        try:
            await self._client.delete_path(name)
        except MediaServerRefused as refused:
            if refused.status != 404:
                raise
        await self._until(partial(self._absent, name))

    async def _withdraw(self, name: str) -> None:
        path = await self._client.path(name)
        if path is not None and path.live:
            raise _in_use(InvalidState, f"Path {name} is in use, and removing it would end its stream.")
        await self._remove(name)

    async def _check_unused(self, name: str, missing: PathConf) -> None:
        path = await self._client.path(name)
        if path is not None and (path.live or path.readers):
            keys = missing.wire().keys()
            raise _in_use(
                InvalidState if keys & _FED_BY else PathDeferred,
                f"Path {name} is in use, and changing {', '.join(sorted(keys))} would end its stream.",
            )

    async def _applied(self, name: str, conf: PathConf) -> None:
        await self._until(partial(self._has, name, conf))

    async def _has(self, name: str, conf: PathConf) -> bool:
        actual = await self._client.path_config(name)
        return actual is not None and conf.missing_from(actual) == PathConf()

    async def _configured(self, name: str) -> bool:
        return await self._client.path_config(name) is not None

    async def _absent(self, name: str) -> bool:
        return not await self._configured(name)

    async def _at_run_time(self, name: str) -> bool:
        """Return True if the path exists at run time; until then the server refuses readers, configured or not."""
        return await self._client.path(name) is not None

    async def _until(self, check: Callable[[], Awaitable[bool]]) -> None:
        if not await self._within(_APPLY_TIMEOUT_S, check):
            raise MediaServerError(
                "The media server accepted a path's configuration, but does not show it.",
                reason="not_applied",
                suggestion="See the media server's log; another program may be changing the same path.",
            )

    async def _within(self, timeout_s: float, check: Callable[[], Awaitable[bool]]) -> bool:
        """Repeat `check` until it is true; return False if it is not within `timeout_s`."""
        ends_s = self._clock.monotonic_s() + timeout_s
        attempt = 0
        while not await check():
            if self._clock.monotonic_s() >= ends_s:
                return False
            await self._clock.sleep(_POLL_S[min(attempt, len(_POLL_S) - 1)])
            attempt += 1
        return True


def _check_name(name: str) -> None:
    parts = name.split("/")
    if _NAME.fullmatch(name) and name not in _SHARED and "." not in parts and ".." not in parts:
        return
    raise InvalidParams(
        "The name is not that of a single path in the media server.",
        param="path",
        rule="letters, digits, '_', '-' and '.', in parts between single slashes; not all_others",
        hint="camera0",
    )


def _in_use(kind: type[InvalidState], details: str) -> InvalidState:
    return kind(
        details,
        state="live",
        allowed_states=("idle",),
        reason="path_in_use",
        suggestion="Stop the path's stream and recording first, or leave its configuration as it is.",
    )


def without_recording(conf: PathConf) -> PathConf:
    """Return `conf` with all record* fields unset: recording is left as it is."""
    return conf.model_copy(update=dict.fromkeys(_RECORD_FIELDS))


def _with_recording_of(actual: PathConf, conf: PathConf) -> PathConf:
    """Return `conf` with unset record* fields taken from `actual`: other callers decide about recording."""
    kept = {field: getattr(actual, field) for field in _RECORD_FIELDS if getattr(conf, field) is None}
    return conf.model_copy(update=kept)
