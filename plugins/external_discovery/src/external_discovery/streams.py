"""Added streams: what is known of each, and the file that keeps them over restarts.

Credentials and secret parameters have a file of their own, so that the list can be shown or copied without them.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_core.plugin import DependencyFailed, InvalidState, WorkerPool
from agent_core.plugin.state import LaterState, explain_os_error, read_small, refuse_later, write_atomic
from external_discovery.address import AddressRefused, StreamAddress

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = ("AddedStream", "StreamFiles", "stream_id")

#: Files in the state folder; their names begin with the plugin's.
STREAMS_FILE = "external_discovery-streams.json"
SECRETS_FILE = "external_discovery-secrets.json"
_VERSION = 1


def stream_id(url: str) -> str:
    """Return the id of the stream at this public address: the same one whenever it is added, so its camera keeps its id."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AddedStream:
    """Stream that is a camera.

    Attributes:
        id: key and serial number of its camera.
        address: its address, with secret parameters.
        name: name of the camera.
        kind: type for clients, such as `generic_rtsp`.
        added_at: time of adding, in UTC; for configured streams the start of the agent.
        credentials: user and password, if the camera needs them.
        is_configured: it stands in the configuration, which alone removes it.
        camera_id: id of the camera that the configuration chooses.
    """

    id: str
    address: StreamAddress
    name: str
    kind: str
    added_at: datetime
    credentials: "Credentials | None" = field(default=None, repr=False)
    is_configured: bool = False
    camera_id: str | None = None

    @property
    def url(self) -> str:
        """Public address, which identifies the stream."""
        return self.address.url


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Stream(_Model):
    id: str = Field(pattern=r"^[0-9a-z]{1,64}$")
    url: str
    name: str
    kind: str
    added_at: datetime


class _Streams(_Model):
    version: Literal[1] = 1
    streams: tuple[_Stream, ...] = ()


class _Secret(_Model):
    id: str
    user: str | None = None
    password: str | None = None
    path: str | None = None


class _Secrets(_Model):
    version: Literal[1] = 1
    secrets: tuple[_Secret, ...] = ()


M = TypeVar("M", _Streams, _Secrets)


class StreamFiles:
    """The two files of the added streams, read and written in a worker thread, one call at a time.

    A file of a newer version is not changed: then `save` refuses. A file that cannot be read is set aside as
    `<name>.corrupt`, and the agent runs without what it held.

    Args:
        folder: the state folder.

    Attributes:
        problems: sentences about the files, for the operator.
    """

    def __init__(self, folder: Path) -> None:
        self._streams = folder / STREAMS_FILE
        self._secrets = folder / SECRETS_FILE
        self._threads = WorkerPool(1)
        self._is_newer = False
        self.problems: list[str] = []

    async def load(self) -> tuple[AddedStream, ...]:
        """Return the stored streams; none if there is no usable file."""
        return await self._threads.run(self._load)

    async def save(self, streams: tuple[AddedStream, ...]) -> None:
        """Replace the stored streams by `streams`, without configured ones.

        Raises:
            InvalidState: the files are of a newer version.
            DependencyFailed: they cannot be written.
        """
        if self._is_newer:
            raise InvalidState(
                "The stored streams are those of a newer version of the plugin, which this one must not change.",
                state="NEWER_FILE",
                allowed_states=("READY",),
                reason="newer_state_file",
                suggestion=f"Upgrade the plugin, or move {STREAMS_FILE} away while the agent is stopped.",
            )
        await self._threads.run(self._save, tuple(each for each in streams if not each.is_configured))

    def _load(self) -> tuple[AddedStream, ...]:
        streams, secrets = self._read(self._streams, _Streams), self._read(self._secrets, _Secrets)
        by_id = {each.id: each for each in secrets.secrets}
        found = [self._restored(each, by_id.get(each.id)) for each in streams.streams]
        unique = {each.url: each for each in found if each is not None}
        return tuple(unique.values())

    def _restored(self, stored: _Stream, secret: _Secret | None) -> AddedStream | None:
        try:
            address, _ = StreamAddress.parse(stored.url)
        except AddressRefused as refused:
            self.problems.append(f"The stored stream {stored.name} was left out: {refused.details}")
            return None
        if secret is not None and secret.path is not None:
            address = replace(address, path=secret.path)
        if address.is_masked:
            self.problems.append(
                f"The stored stream {stored.name} was left out: {SECRETS_FILE} has no secret parameters for it. "
                "Add the stream again with its full address."
            )
            return None
        known = None
        if secret is not None:
            # RTSP is loaded after the agent listens.
            from agent_core.plugin.rtsp import Credentials

            known = None if secret.user is None else Credentials(secret.user, secret.password or "")
        return AddedStream(
            stored.id, address, stored.name, stored.kind, stored.added_at.astimezone(UTC), known
        )

    def _read(self, path: Path, model: type[M]) -> M:
        try:
            data = read_small(path, private=True)
            refuse_later(path.name, data, _VERSION)
            return model.model_validate_json(data)
        except FileNotFoundError:
            return model()
        except LaterState as later:
            self._is_newer = True
            self.problems.append(f"{later.details} {later.suggestion}")
            return model()
        except (ValidationError, ValueError, OSError) as error:
            self._set_aside(path, error)
            return model()

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = path.with_name(f"{path.name}.corrupt")
        reason = (isinstance(error, OSError) and error.strerror) or "its content is damaged"
        try:
            path.replace(aside)
        except OSError:
            self._is_newer = True  # it may still be good: never write over it
            self.problems.append(f"The file {path.name} cannot be read: {reason}.")
        else:
            self.problems.append(
                f"The file {path.name} cannot be read and was renamed to {aside.name}: {reason}."
            )

    def _save(self, streams: tuple[AddedStream, ...]) -> None:
        """Write secrets first where streams are added, so that no stored stream lacks its password after a power cut."""
        listed = _Streams(
            streams=tuple(
                _Stream(id=each.id, url=each.url, name=each.name, kind=each.kind, added_at=each.added_at)
                for each in streams
            )
        )
        secrets = _Secrets(secrets=tuple(filter(None, map(_secret, streams))))
        try:
            write_atomic(self._secrets, secrets.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
            write_atomic(self._streams, listed.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
        except OSError as error:
            explained = explain_os_error(error, "store the external streams")
            raise DependencyFailed(
                explained.details,
                reason=explained.reason,
                suggestion=explained.suggestion,
                dependency="storage",
                detail=explained.detail,
            ) from error


def _secret(stream: AddedStream) -> _Secret | None:
    path = stream.address.path if stream.address.has_secrets else None
    known = stream.credentials
    if known is None:
        return None if path is None else _Secret(id=stream.id, path=path)
    return _Secret(id=stream.id, user=known.user, password=known.password, path=path)
