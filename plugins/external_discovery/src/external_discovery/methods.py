"""The three methods of the API about added streams, and the form in which clients see streams."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from agent_core.plugin import (
    AgentError,
    CaptureFailed,
    Clock,
    DependencyFailed,
    InvalidParams,
    InvalidState,
    MethodExample,
    NotFound,
    RpcMethod,
    RpcParams,
    RpcResult,
)
from external_discovery import examples
from external_discovery.address import AddressRefused, StreamAddress, checked_credentials
from external_discovery.camera import StreamCamera
from external_discovery.health import Verdict
from external_discovery.source import ExternalSource
from external_discovery.streams import AddedStream, stream_id
from external_discovery.tracks import Track
from external_discovery.wire import (
    Added,
    AddParams,
    ExternalStream,
    ExternalStreams,
    Removed,
    RemoveParams,
    StreamCapabilities,
    StreamTrack,
)

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = (
    "AddExternalStream",
    "GetExternalStreams",
    "RemoveExternalStream",
    "added_form",
    "stream_capabilities",
)


class AddExternalStream(RpcMethod[AddParams]):
    """Method `add_external_stream`.

    Args:
        source: the added streams.
        clock: wall clock.
        found: returns the address of the found stream that clients see at this public address; None if there is none.
    """

    name = "add_external_stream"
    role = "operator"
    summary = "Add a network stream as a camera, after a look at it; it is kept over restarts."
    Params: ClassVar[type[RpcParams]] = AddParams
    Result: ClassVar[type[RpcResult]] = Added
    errors: ClassVar[tuple[type[AgentError], ...]] = (InvalidState, CaptureFailed, DependencyFailed)

    @classmethod
    def example(cls) -> MethodExample:
        return examples.add_external_stream()

    def __init__(
        self, source: ExternalSource, clock: Clock, found: Callable[[str], StreamAddress | None]
    ) -> None:
        self._source = source
        self._clock = clock
        self._found = found

    async def call(self, params: AddParams) -> Added:
        address, credentials = StreamAddress.parse(params.stream_url)
        if address.is_masked:
            address = self._unmasked(address)
        now = self._clock.now()
        stream = AddedStream(
            stream_id(address.url),
            address,
            params.stream_name.strip(),
            params.stream_type,
            now,
            _account(params, credentials),
        )
        camera = await self._source.add(stream, verify=params.verify)
        return Added(
            stream_url=stream.url,
            stream_name=stream.name,
            stream_type=stream.kind,
            device=camera.device or "",
            timestamp=now,
        )

    def _unmasked(self, address: StreamAddress) -> StreamAddress:
        """Return the address that `address` shows, of a stream that a scan has found."""
        known = self._found(address.url)
        if known is None:
            raise AddressRefused(
                "hidden_parameter",
                "The address has *** in place of a secret parameter, and no scan has found such a stream.",
                hint="Give the parameter's true value, or search again: found streams are forgotten at a restart.",
            )
        return known


def _account(params: AddParams, in_url: "Credentials | None") -> "Credentials | None":
    if params.user is None and params.password is None:
        return in_url
    password = params.password.get_secret_value() if params.password else ""
    if in_url is not None or not params.user or not password:
        raise InvalidParams(
            "A user and a password need each other, and both stand either in the address or beside it.",
            param="user",
            rule="user and password together, once",
            hint="",
        )
    return checked_credentials(params.user, password)


class RemoveExternalStream(RpcMethod[RemoveParams]):
    """Method `remove_external_stream`."""

    name = "remove_external_stream"
    role = "operator"
    summary = "Remove a network stream; its recordings and snapshots stay."
    Params: ClassVar[type[RpcParams]] = RemoveParams
    Result: ClassVar[type[RpcResult]] = Removed
    errors: ClassVar[tuple[type[AgentError], ...]] = (NotFound, InvalidState, DependencyFailed)

    @classmethod
    def example(cls) -> MethodExample:
        return examples.remove_external_stream()

    def __init__(self, source: ExternalSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def call(self, params: RemoveParams) -> Removed:
        address, _ = StreamAddress.parse(params.stream_url)
        removed = await self._source.remove(address.url)
        return Removed(stream_url=removed.url, timestamp=self._clock.now())


class GetExternalStreams(RpcMethod[RpcParams]):
    """Method `get_external_streams`.

    Args:
        source: the added streams.
        found: returns the streams that scans have found, as clients see them.
        clock: wall clock.
    """

    name = "get_external_streams"
    role = "viewer"
    summary = "List the added network streams and those that were found."
    Params: ClassVar[type[RpcParams]] = RpcParams
    Result: ClassVar[type[RpcResult]] = ExternalStreams
    errors: ClassVar[tuple[type[AgentError], ...]] = ()

    @classmethod
    def example(cls) -> MethodExample:
        return examples.get_external_streams()

    def __init__(
        self, source: ExternalSource, found: Callable[[], Sequence[ExternalStream]], clock: Clock
    ) -> None:
        self._source = source
        self._found = found
        self._clock = clock

    async def call(self, params: RpcParams) -> ExternalStreams:
        known = {each.url: each for each in self._found()}
        known |= {each.stream.url: added_form(each) for each in self._source.cameras()}
        streams = [*known.values()]
        return ExternalStreams(
            external_streams=streams,
            skydio_streams=[each for each in streams if each.type == "skydio"],
            generic_streams=[each for each in streams if each.type != "skydio"],
            total_count=len(streams),
            timestamp=self._clock.now(),
        )


def added_form(camera: StreamCamera) -> ExternalStream:
    """Return an added stream as clients see it."""
    stream = camera.stream
    return ExternalStream(
        url=stream.url,
        name=stream.name,
        type=stream.kind,
        status="ERROR" if camera.verdict is Verdict.ERROR else "ADDED",
        discovered_at=stream.added_at,
        last_seen=camera.last_seen,
        online=camera.verdict is Verdict.ONLINE,
        details=camera.details,
        removable=not stream.is_configured,
        capabilities=stream_capabilities(
            stream.address,
            camera.tracks,
            source="configuration" if stream.is_configured else "added",
            kind=stream.kind,
            needs_credentials=stream.credentials is not None,
            server=camera.server,
        ),
        device=camera.device,
    )


def stream_capabilities(
    address: StreamAddress,
    tracks: Sequence[Track],
    *,
    source: str,
    kind: str,
    needs_credentials: bool,
    server: str,
) -> StreamCapabilities:
    """Return what is known of a stream, found or added, as clients see it."""
    authority, _, path = address.url.partition("://")[2].partition("/")
    video = next((each.codec for each in tracks if each.kind == "video"), "")
    return StreamCapabilities(
        protocol=address.scheme,
        codec=video,
        source=source,
        stream_type=kind,
        port=address.port,
        stream_path=f"/{path}" if authority else "/",
        needs_credentials=needs_credentials,
        server=server,
        tracks=[StreamTrack(kind=each.kind, codec=each.codec) for each in tracks],
    )
