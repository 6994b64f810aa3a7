"""Discovery prefixes below which the agent has described itself, remembered until the broker has forgotten them."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import NOT_ASKED, AgentError, Clock, WorkerPool
from agent_core.plugin.state import explain_os_error, read_small, refuse_later, write_atomic
from mqtt_bridge.broker.messages import Incoming, Subscription
from mqtt_bridge.broker.part import BrokerPart, BrokerPublisher

__all__ = ("DescribedPrefixes",)

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
_FILE = "mqtt_bridge_home_assistant.json"
_VERSION = 1
#: Prefixes that are remembered at most.
_MOST = 20
#: Time of a connection after which everything that is not wanted has been cleared.
_CLEARED_AFTER_S = 60.0


class DescribedPrefixes(BrokerPart):
    """Memory of the prefix in use and of former ones.

    With it, descriptions are cleared after discovery was switched off or its prefix was changed, and an agent that has never
    described itself subscribes to nothing of Home Assistant.

    Args:
        folder: the agent's state folder.
        current: prefix in use; None while discovery is off.
        own: called with each prefix before the first connection: clear what is not wanted below it.
        clock: for the wait.
    """

    def __init__(
        self, folder: Path, current: str | None, own: Callable[[str], None], *, clock: Clock
    ) -> None:
        self._path = folder / _FILE
        self._current = (current,) if current is not None else ()
        self._own = own
        self._clock = clock
        self._files = WorkerPool(1)
        self._is_cleared = anyio.Event()

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        return ()

    def received(self, message: Incoming) -> None:
        """Take nothing: there are no subscriptions."""

    async def online(self, broker: BrokerPublisher) -> None:
        """Wait until the connection has lasted long enough to clear what is not wanted."""
        await self._clock.sleep(_CLEARED_AFTER_S)
        self._is_cleared.set()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Own all remembered prefixes, and forget those out of use once they are cleared."""
        try:
            known = await self._files.run(partial(_read, self._path))
            prefixes = tuple(dict.fromkeys((*self._current, *known)))[:_MOST]
            if prefixes != known:
                await self._files.run(partial(_write, self._path, prefixes))
        except AgentError as error:
            _LOG.warning("%s Former descriptions for Home Assistant may stay at the broker.", error.details)
            prefixes = self._current
        for prefix in prefixes:
            self._own(prefix)
        task_status.started()
        if prefixes != self._current:
            await self._is_cleared.wait()
            await self._forget()

    async def _forget(self) -> None:
        try:
            await self._files.run(partial(_write, self._path, self._current))
        except AgentError as error:
            _LOG.warning("%s", error.details)


def _read(path: Path) -> tuple[str, ...]:
    """Return the prefixes; none without the file, or if it is damaged. Raises AgentError."""
    try:
        content = read_small(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise explain_os_error(error, "read the former discovery prefixes") from error
    refuse_later(_FILE, content, _VERSION)
    try:
        found = json.loads(content)["prefixes"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        _LOG.warning("The state file %s is damaged; it is made anew.", _FILE)
        return ()
    return tuple(each for each in found if each and not {*each} & {*"#+\0"})


def _write(path: Path, prefixes: Sequence[str]) -> None:
    """Store the prefixes; without any, remove the file. Raises AgentError."""
    try:
        if prefixes:
            write_atomic(path, json.dumps({"version": _VERSION, "prefixes": list(prefixes)}).encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error, "store the discovery prefix") from error
