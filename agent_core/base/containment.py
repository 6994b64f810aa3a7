"""Containment of foreign code: an exception of a provider never ends the agent."""

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
    """Return the error's type and message; only the type if there is no message or it cannot be formatted."""
    words = ""
    with suppress(Exception):
        words = str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@contextmanager
def contained(provider: str) -> Iterator[None]:
    """Turn exceptions with which the foreign code inside would end the process or a task into a `PluginError`.

    This covers `SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, groups of them, and a `CancelledError` that the
    foreign code raises although its task was not cancelled. Real cancellation passes through; so does each
    `Exception`, which the caller handles.

    Args:
        provider: name of the foreign code in messages, for example "The component lamp".

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
            suggestion="Tell the plugin's author: providers must raise an Exception for a failure.",
        ) from error


def _is_being_cancelled() -> bool:
    """Return True if the current task or a scope around it is cancelled."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: a CLI command calls a hook
        return False
    return task is not None and (task.cancelling() > 0 or anyio.current_effective_deadline() == -math.inf)


class ContainedLoop(asyncio.SelectorEventLoop):
    """Event loop that keeps running when a task or a callback raises `SystemExit` or `KeyboardInterrupt`.

    asyncio raises both out of the loop at once, past every task group. A provider may start tasks of its own, which
    `contained` around the provider does not cover. The task that raised ends with the error, and tasks that wait for
    it receive it.
    """

    def run_forever(self) -> None:
        while True:
            try:
                super().run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                _log.error(
                    "a task or callback raised %s; the event loop keeps running",
                    describe(error),
                    exc_info=error,
                )
            else:
                return
