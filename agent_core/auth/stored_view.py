"""View of a small private file that other processes replace."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from agent_core.base.errors import AgentError, StateCorrupt, StorageFailed
from agent_core.base.files import explain_os_error, make_folder, write_atomic
from agent_core.base.locks import lock_file
from agent_core.base.small_files import UnsafeFile, read_small
from agent_core.base.state_versions import refuse_later, version_of

__all__ = ("CredentialFile", "StoredView", "no_check", "parsed")

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_LOG = logging.getLogger("camera_agent.rpc")
#: Fingerprint of a file about which nothing is known; differs from every other one.
_UNKNOWN: tuple[int, ...] = ()


def no_check() -> None:
    """Accept the state folder as it is; for programs that do not hold its lock."""


def parsed(model: type[M], content: bytes, name: str) -> M:
    """Return the content of the file `name` as a `model`.

    Raises:
        ValidationError: the content is another.
        LaterState: a later version of the agent has written it.
    """
    refuse_later(name, content, version_of(model))
    return model.model_validate_json(content)


class StoredView(Generic[T]):
    """Value in a file, read again when the file has changed, so that a change needs no restart.

    `value` and `version` are in memory, for the event loop; all methods block on the disk.

    Args:
        path: the file. It is trusted only if no other user can have written it.
        parse: makes the value; raises ValueError or AgentError if the content is unusable.
        missing: the value without a file.
        unusable: the value while the file is unusable. It must grant nothing.
        consequence: begins the log message about an unusable file.
        require: raises StorageFailed while the state folder is not there. A missing file leaves the last value then: a
            disk that is not mounted revokes nothing. A file that is there counts always: `require` also fails if only
            the folder's lock file was deleted, and a revocation must take effect nevertheless.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], T],
        *,
        missing: T,
        unusable: T,
        consequence: str,
        require: Callable[[], None] = no_check,
    ) -> None:
        self.path = path
        self._parse = parse
        self._missing = missing
        self._unusable = unusable
        self._consequence = consequence
        self._require = require
        self._seen: tuple[int, ...] | None = None
        self._value = missing
        self._version = 0
        self._fault = ""
        self._lock = threading.Lock()

    @property
    def version(self) -> int:
        """Number of changes of the file so far."""
        return self._version

    @property
    def value(self) -> T:
        """The value at the last `refresh`; that of a missing file before the first one."""
        return self._value

    def refresh(self) -> T:
        """Read the file if it has changed, and return the value. Blocks on the disk; may be called in any thread."""
        with self._lock:
            return self._refreshed()

    def _refreshed(self) -> T:
        now = _fingerprint(self.path)
        if now == self._seen and now != _UNKNOWN:
            return self._value
        if not (now or self._may_be_missing()):
            return self._value
        try:
            content = self.content()
            if content is None and not self._may_be_missing():
                return self._value  # it has vanished since, with its folder
            self._value = self._missing if content is None else self._parse(content)
            self._fault = ""
            self._seen = now
        except (OSError, ValueError, AgentError) as error:
            self._value = self._unusable
            self._seen = now
            self._note(error)
        self._version += 1
        return self._value

    def _may_be_missing(self) -> bool:
        """Return False while the state folder is not there; its files say nothing then by their absence."""
        try:
            self._require()
        except StorageFailed:
            return False
        return True

    def stored(self, model: type[M], what: str, *, suggestion: str) -> M:
        """Read the file as a `model`; without a file, its default. Unlike `refresh`, this raises. Blocks on the disk.

        Args:
            model: form of the content.
            what: name of the content in messages.
            suggestion: what to do about a file with another content.

        Raises:
            StateCorrupt: the content is not a `model`, or of a later version of the agent.
            StorageFailed: the file cannot be read.
        """
        try:
            content = self.content()
            return model() if content is None else parsed(model, content, self.path.name)
        except OSError as error:
            raise explain_os_error(error, f"read the {what}") from error
        except ValidationError as error:
            raise StateCorrupt(
                f"{self.path.name} in the state folder is not a file of {what}.", suggestion=suggestion
            ) from error

    def content(self) -> bytes | None:
        """Read the file; None without one. Raises OSError if it cannot be read or trusted. Blocks on the disk."""
        try:
            return read_small(self.path, private=True)
        except FileNotFoundError:
            return None

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Keep other processes and threads from changing the file meanwhile. Blocks on the disk, and for them.

        Raises:
            StorageFailed: the state folder is not there, or the lock beside the file cannot be made; `what` names the
                content.
        """
        self._require()
        with ExitStack() as held:
            try:
                make_folder(self.path.parent)
                held.enter_context(lock_file(self.path.with_name(f".{self.path.name}.lock")))
            except OSError as error:
                raise explain_os_error(error, f"lock the {what}") from error
            yield

    def replace(self, content: bytes, what: str) -> None:
        """Store a new content, readable only by this user, and read it; `what` names it in messages.

        Raises:
            StorageFailed: the file cannot be written.
        """
        try:
            write_atomic(self.path, content, mode=0o600)
        except OSError as error:
            raise explain_os_error(error, f"store the {what}") from error
        self.refresh()

    def _note(self, error: Exception) -> None:
        """Log the fault once; read again later if it may pass without a change of the file."""
        if isinstance(error, OSError) and not isinstance(error, UnsafeFile):
            self._seen = _UNKNOWN
        fault = _why(error)
        if fault != self._fault:
            _LOG.error("%s: %s is unusable (%s)", self._consequence, self.path.name, fault)
        self._fault = fault


class CredentialFile(Generic[T]):
    """Base of the files of credentials, which `CredentialFiles` watches. Nothing is read before the first `refresh`."""

    def __init__(self, view: StoredView[T]) -> None:
        self._view = view

    @property
    def path(self) -> Path:
        """The file."""
        return self._view.path

    @property
    def version(self) -> int:
        """Number of changes of the file so far."""
        return self._view.version

    def refresh(self) -> object:
        """Read the file if it has changed. Blocks on the disk."""
        return self._view.refresh()


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what differs between two versions of a file; None without one."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:
        return _UNKNOWN
    return (status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)


def _why(error: Exception) -> str:
    """Return the fault without the content of the file, which may be a secret."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error.details if isinstance(error, AgentError) else "its content is invalid"
