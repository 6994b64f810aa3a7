"""Containment of foreign code: whatever a provider raises is its own failure and never ends the agent."""

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio

from agent_core.base.errors import PluginError

__all__ = ("ContainedLoop", "contained", "describe")

_log = logging.getLogger("camera_agent.plugins")


def describe(error: BaseException) -> str:
    """Return the error's type, with its words where it has some; an error that cannot be printed has none."""
    words = ""
    with suppress(Exception):
        words = str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@contextmanager
def contained(provider: str) -> Iterator[None]:
    """Turn what ends a process or a task, raised by the foreign code inside, into a `PluginError`.

    This covers `SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, groups of them, and a `CancelledError` that the
    foreign code raises although its task was not cancelled. Real cancellation passes; so does each `Exception`,
    which the caller handles as before.

    Args:
        provider: how messages name the foreign code, for example "The component lamp".

    Raises:
        PluginError: the foreign code raised such a `BaseException`; its reason is `provider_raised`.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        _log.error("%s raised %s", provider, type(error).__name__, exc_info=error)
        raise PluginError(
            f"{provider} raised {type(error).__name__}, which would end the agent.",
            reason="provider_raised",
            suggestion="Tell the plugin's author; providers raise an Exception for what fails.",
        ) from error


def _is_being_cancelled() -> bool:
    """Return whether a scope around the current task is cancelled, or the task itself."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: a hook that a command of the command line calls
        return False
    return task is not None and (task.cancelling() > 0 or anyio.current_effective_deadline() == -math.inf)


class ContainedLoop(asyncio.SelectorEventLoop):
    """An event loop that goes on when a task or a callback raises `SystemExit` or `KeyboardInterrupt`.

    asyncio lets both out of the loop at once, past every task group. A provider may start tasks of its own, so
    `contained` around the provider comes too late for those. The task that raised has ended with the error by then,
    and whoever waits for it is told.
    """

    def run_forever(self) -> None:
        while True:
            try:
                super().run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                _log.error(
                    "%s was raised inside the event loop, which goes on", describe(error), exc_info=error
                )
            else:
                return
