"""Reports of a camera's problems, as its broker meets them.

Apart from `broker`, which knows no status of a camera: each source runs this beside it.
"""

from collections.abc import Callable
from contextlib import suppress

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import CaptureFailed
from agent_core.base.waiting import GrowingPauses
from agent_core.plugin.frames.broker import FrameBroker

__all__ = ("report_problems",)

#: Pauses between trial pictures of a failed camera. Without trials its status would stay wrong until a client asks.
_FIRST_TRIAL_PAUSE_S, _LONGEST_TRIAL_PAUSE_S = 10.0, 300.0


async def report_problems(
    broker: FrameBroker,
    *,
    failed: Callable[[CaptureFailed], object],
    connected: Callable[[], object],
    clock: Clock,
) -> None:
    """Report each problem of `broker`, and its solution, until cancelled; a camera source runs this for each camera.

    Args:
        broker: the camera's broker, which `FrameBroker.run` runs meanwhile.
        failed: called with each new problem.
        connected: called when frames arrive again.
        clock: times the trial pictures.
    """
    while True:
        while broker.problem is None:
            await broker.changed()
        async with anyio.create_task_group() as tg:
            tg.start_soon(_try_repeatedly, broker, clock)
            await _show_problems(broker, failed)
            tg.cancel_scope.cancel()
        connected()


async def _show_problems(broker: FrameBroker, failed: Callable[[CaptureFailed], object]) -> None:
    shown = ""
    while (problem := broker.problem) is not None:
        if problem.details != shown:
            shown = problem.details
            failed(problem)
        await broker.changed()


async def _try_repeatedly(broker: FrameBroker, clock: Clock) -> None:
    """Request one picture after growing pauses. A client's own request makes the broker try sooner."""
    pauses = GrowingPauses(_FIRST_TRIAL_PAUSE_S, _LONGEST_TRIAL_PAUSE_S)
    while True:
        await clock.sleep(pauses.next_s())
        with suppress(CaptureFailed):
            await broker.fresh(clock.monotonic_s())
