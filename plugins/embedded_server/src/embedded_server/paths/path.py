"""Path at run time: its publisher or source, its readers, its commands and its recorder."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import anyio

from agent_core.plugin.rtsp import SessionDescription
from embedded_server.config.configuration import PathOptions
from embedded_server.config.gotext import parse_duration
from embedded_server.config.names import is_pattern
from embedded_server.context import ServerContext
from embedded_server.media.stream import Stream
from embedded_server.paths.command import HookCommand
from embedded_server.paths.ondemand import OnDemand
from embedded_server.paths.pull import RtspSource, unsupported
from embedded_server.recording.recorder import Recorder, RecordSettings

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ("Member", "NoStream", "Path", "PathRefused")

_log = logging.getLogger("camera_agent.embedded_server")

_PULLED = ("rtsp://",)


class PathRefused(Exception):
    """Refusal of a request to a path; the message is for the log."""


class NoStream(PathRefused):
    """Refusal of a read: there is no publisher, and none starts on demand."""


class Member(Protocol):
    """Publisher or reader of a path. `close` ends its connection soon, and with it the membership."""

    @property
    def id(self) -> str: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Held:
    """Request that waits for the stream."""

    done: anyio.Event = field(default_factory=anyio.Event)
    refusal: str = ""


class Path:
    """Path in use. Only `describe` and `add_reader` wait; call all methods in the server's event loop."""

    def __init__(
        self,
        name: str,
        conf_name: str,
        options: PathOptions,
        context: ServerContext,
        groups: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.conf_name = conf_name
        self.options = options
        self.stream: Stream | None = None
        self.available_at: datetime | None = None
        self.publisher: Member | None = None
        self.readers: dict[Member, None] = {}
        self._context = context
        self._held: list[_Held] = []
        self._recorder: Recorder | None = None
        self._command: HookCommand | None = None
        self._init: HookCommand | None = None
        self._closed = False
        self._variables = _variables(name, context.rtsp_port, groups)
        self._source = self._pull_source()
        self._on_demand = self._make_on_demand()

    def open(self) -> None:
        """Start `runOnInit`, and the source unless it is pulled on demand."""
        if self._source is not None and not self.options["sourceOnDemand"]:
            self._source.start()
        if self.options["runOnInit"]:
            self._init = self._start_command("runOnInit")

    @property
    def source_type(self) -> str | None:
        """Type of the API's `source`: a pulled source is always listed, a publisher while it publishes."""
        if self._source is not None:
            return "rtspSource"
        return "rtspSession" if self.publisher is not None else None

    @property
    def disposable(self) -> bool:
        """Return whether the path exists only because of a pattern, and is unused."""
        in_use = self.stream or self.publisher or self.readers or self._held
        return is_pattern(self.conf_name) and not in_use and (self._on_demand is None or self._on_demand.idle)

    async def describe(self) -> Stream:
        """Wait for the stream, and return it.

        Raises:
            PathRefused: there is no source for it, or it did not come in time.
        """
        while self.stream is None:
            await self._wait_for_stream()
        return self.stream

    async def add_reader(self, reader: Member) -> Stream:
        """Wait for the stream, and keep its source running until `remove_reader`.

        Raises:
            PathRefused: there is no source for it, it did not come in time, or it has too many readers.
        """
        stream = await self.describe()
        limit = self.options["maxReaders"]
        if isinstance(limit, int) and 0 < limit <= len(self.readers):
            raise PathRefused("maximum reader count reached")
        self.readers[reader] = None
        if self._on_demand is not None:
            self._on_demand.read()
        return stream

    def remove_reader(self, reader: Member) -> None:
        """Remove a reader; do nothing if `reader` is none."""
        if reader in self.readers:
            del self.readers[reader]
        if not self.readers and self._on_demand is not None:
            self._on_demand.unread()

    def add_publisher(self, publisher: Member, description: SessionDescription) -> Stream:
        """Make `publisher` the source, replacing another publisher.

        Raises:
            PathRefused: the path pulls its own source, or has a publisher and does not allow replacing it.
        """
        if self._source is not None or self.options["source"] != "publisher":
            raise PathRefused(f"can't publish to path '{self.name}' since 'source' is not 'publisher'")
        if self.publisher is not None:
            if not self.options["overridePublisher"]:
                raise PathRefused(f"someone is already publishing to path '{self.name}'")
            former = self.publisher
            self.remove_publisher(former)
            former.close()
        self.publisher = publisher
        return self.set_available(description)

    def remove_publisher(self, publisher: Member) -> None:
        """Remove the publisher; do nothing if `publisher` has been replaced."""
        if publisher is self.publisher:
            self.publisher = None
            self.set_not_available()

    def set_available(self, description: SessionDescription) -> Stream:
        stream = self.stream = Stream(description, self._context.clock)
        self.available_at = self._context.clock.now()
        if self.options["record"]:
            self._start_recording(stream)
        if self._on_demand is not None:
            self._on_demand.available()
        self._answer_held()
        return stream

    def set_not_available(self) -> None:
        """Disconnect the readers and end the recording, because the source has gone."""
        if self.stream is None:
            return
        self.stream = self.available_at = None
        for reader in tuple(self.readers):
            self.remove_reader(reader)
            reader.close()
        self._stop_recording()

    def reload(self, conf_name: str, options: PathOptions) -> None:
        """Apply options that differ in `HOT_KEYS` only; publisher and readers stay connected."""
        recording = {key for key in options if key.startswith("record") and key != "recordDeleteAfter"}
        changed = any(options[key] != self.options[key] for key in recording)
        self.conf_name, self.options = conf_name, options
        if changed and self.stream is not None:
            self._stop_recording()
            if options["record"]:
                self._start_recording(self.stream)

    def close(self) -> None:
        """Disconnect publisher and readers and stop everything; the path must not be used afterwards."""
        self._closed = True
        self._answer_held("terminated")
        for command in (self._init, self._command):
            if command is not None:
                command.stop()
        if self._on_demand is not None:
            self._on_demand.close()
        if self._source is not None:
            self._source.stop()
        publisher, self.publisher = self.publisher, None
        self.set_not_available()
        if publisher is not None:
            publisher.close()

    def drop_publisher(self) -> None:
        """End the publisher's connection, as a network failure would."""
        if self.publisher is not None:
            self.publisher.close()

    async def _wait_for_stream(self) -> None:
        if self._closed:
            raise PathRefused("terminated")
        if self._on_demand is None:
            raise NoStream(f"no stream is available on path '{self.name}'")
        held = _Held()
        self._held.append(held)
        try:
            self._on_demand.wanted()
            await held.done.wait()
        finally:
            if held in self._held:
                self._held.remove(held)
        if held.refusal:
            raise PathRefused(held.refusal)

    def _answer_held(self, refusal: str = "") -> None:
        held, self._held = self._held, []
        for one in held:
            one.refusal = refusal
            one.done.set()

    def _pull_source(self) -> RtspSource | None:
        source = str(self.options["source"])
        if source == "publisher":
            return None
        if not source.startswith(_PULLED):
            _log.warning("[path %s] %s", self.name, unsupported(source.partition("://")[0]))
        return RtspSource(source, self, self._context)

    def _make_on_demand(self) -> OnDemand | None:
        if self._source is not None:
            if not self.options["sourceOnDemand"]:
                return None
            start, stop, prefix = self._source.start, self._source.stop, "sourceOnDemand"
        elif self.options["runOnDemand"]:
            start, stop, prefix = self._run_command, self._stop_command, "runOnDemand"
        else:
            return None
        return OnDemand(
            self._context,
            start=start,
            stop=stop,
            timed_out=lambda: self._answer_held(f"source of path '{self.name}' has timed out"),
            start_timeout_s=self._seconds(f"{prefix}StartTimeout"),
            close_after_s=self._seconds(f"{prefix}CloseAfter"),
        )

    def _seconds(self, key: str) -> float:
        return parse_duration(str(self.options[key])) / 1e9

    def _run_command(self) -> None:
        self._command = self._start_command("runOnDemand")

    def _stop_command(self) -> None:
        command, self._command = self._command, None
        if command is not None:
            command.stop()
        if self.options["runOnUnDemand"]:
            self._start_command("runOnUnDemand")

    def _start_command(self, key: str) -> HookCommand:
        restart = bool(self.options.get(f"{key}Restart", False))
        command = HookCommand(str(self.options[key]), self._variables, restart=restart)
        self._context.spawn(command.run)
        return command

    def _start_recording(self, stream: Stream) -> None:
        settings = RecordSettings.of(self.name, self.options, self._context.roots)
        self._recorder = Recorder(self.name, stream, settings, self._context.faults)
        self._context.spawn(self._recorder.run)

    def _stop_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.stop()


def _variables(name: str, rtsp_port: int, groups: tuple[str, ...]) -> Mapping[str, str]:
    known = {"MTX_PATH": name, "RTSP_PATH": name, "RTSP_PORT": str(rtsp_port), "MTX_QUERY": ""}
    return known | {f"G{index}": text for index, text in enumerate(groups, 1)}
