"""One node: probed, reported if it is a camera, served by its broker, shown as failed while it does not work."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import anyio

from agent_core.plugin import (
    AgentError,
    CameraId,
    CaptureFailed,
    DetectedCamera,
    FrameSocket,
    GrowingPauses,
    WorkerPool,
)
from agent_core.plugin.frames import FrameBroker, FrameServer
from v4l2_tier.capture.limits import broker_settings
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.errors import explain
from v4l2_tier.device.offered import controls_of, modes_of
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CameraSettings
from v4l2_tier.source.context import CameraContext, settings_of
from v4l2_tier.source.fingerprint import fingerprint
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("V4l2Camera",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: The kernel gives a USB control transfer 5 s; a device that has not answered by then does not.
_PROBE_S = 6.0
_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S = 1.0, 60.0
#: A camera that failed is tried again without anybody asking for pictures, so that its status comes right by itself.
_FIRST_TRIAL_PAUSE_S, _LONGEST_TRIAL_PAUSE_S = 10.0, 300.0


class V4l2Camera:
    """Owned by the source, which runs `run` and calls `gone`."""

    def __init__(self, node: DeviceNode, context: CameraContext) -> None:
        self.node = node
        self._context = context
        self._report = context.report
        self._clock = context.clock
        # A probe that hangs keeps its thread, also when its camera has gone: it must not be one that others need.
        self._threads = WorkerPool(1)
        self._scope = anyio.CancelScope()
        self._capabilities: Capabilities | None = None
        self._reported = False
        self._unplugged = False

    def gone(self) -> None:
        """The node is not there any more: report it at once, then end."""
        self._unplugged = True
        if self._reported:
            self._report.disconnected(self.node.name, "The camera was unplugged.")
        self._scope.cancel()

    async def run(self, looked_at: Callable[[], None]) -> None:
        """Until `gone`; `looked_at` is called once, when the first report has been made or there is none to make.

        Raises nothing of its own: what goes wrong with one camera is that camera's problem.
        """
        pauses = GrowingPauses(_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S)
        with self._scope:
            while True:
                try:
                    await self._run(looked_at)
                except Exception as error:  # noqa: BLE001 - the other cameras go on
                    _log.exception("the camera %s cannot be looked after", self.node.shown_name)
                    self._failed(_explained(error), self._known_so_far())
                else:
                    break
                looked_at()
                await self._clock.sleep(pauses.next_s())
        looked_at()

    async def _run(self, looked_at: Callable[[], None]) -> None:
        if self._is_disabled(None):
            _log.info("%s is disabled and left alone", self.node.shown_name)
            return
        found = await self._probed(looked_at)
        if isinstance(found, NoCamera):
            level = logging.WARNING if found.remarkable else logging.DEBUG
            _log.log(level, "%s is no camera: %s", self.node.name, found.why)
        elif self._is_disabled(found):
            _log.info("%s is disabled and left alone", self.node.shown_name)
        else:
            await self._serve(found, looked_at)

    # Finding out what it is.

    async def _probed(self, looked_at: Callable[[], None]) -> Capabilities | NoCamera:
        """Asks until there is an answer; what is known to be a camera is shown as failed meanwhile."""
        pauses = GrowingPauses(_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S)
        while True:
            try:
                return await self._probe(looked_at)
            except CaptureFailed as error:
                self._probe_failed(error)
            looked_at()
            await self._clock.sleep(pauses.next_s())

    async def _probe(self, looked_at: Callable[[], None]) -> Capabilities | NoCamera:
        """However long it takes: a device with many modes on a slow machine answers late, and asking again helps neither.

        The kernel ends what hangs; meanwhile it is shown as failed.
        """
        found: Capabilities | NoCamera | OSError
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._tell_if_slow, looked_at)
            try:
                found = await self._threads.run_abandonable(self._context.probe, self.node.path)
            except OSError as error:
                found = error
            tg.cancel_scope.cancel()
        if isinstance(found, OSError):
            raise explain(found, "asking what it offers") from found
        return found

    async def _tell_if_slow(self, looked_at: Callable[[], None]) -> None:
        await self._clock.sleep(_PROBE_S)
        self._probe_failed(
            CaptureFailed(f"The camera did not answer for {_PROBE_S:g} s.", reason="camera_silent")
        )
        looked_at()

    def _probe_failed(self, error: CaptureFailed) -> None:
        _log.warning("%s: %s %s", self.node.shown_name, error.details, error.suggestion)
        if error.reason != "camera_gone":
            self._failed(error, self._known_so_far())

    # Serving it.

    async def _serve(self, capabilities: Capabilities, looked_at: Callable[[], None]) -> None:
        settings = self._table(capabilities) or self._context.settings.defaults
        known = self._known_of(capabilities)
        self._capabilities = capabilities
        try:
            producer, chosen = self._context.make_producer(self.node, capabilities, settings, self._clock)
        except CaptureFailed as error:  # for as long as it is plugged in
            self._failed(error, known)
            return
        path = self._context.places.path(known.fingerprint, self.node.name)
        broker = FrameBroker(producer, clock=self._clock, settings=broker_settings(settings, chosen))
        camera = replace(
            known,
            media_input=FrameSocket(path, chosen.width, chosen.height, chosen.fps),
            resolution=(chosen.width, chosen.height),
            fps=round(chosen.fps, 3),
            frames=broker,
        )
        async with self._context.places.held(path), anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(FrameServer(broker, path, clock=self._clock).run)
            self._connected(camera)
            looked_at()
            await self._follow(broker, camera)

    async def _follow(self, broker: FrameBroker, camera: DetectedCamera) -> None:
        """Show it as failed while it does not work, and as connected again when it does."""
        while True:
            while broker.problem is None:
                await broker.changed()
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._try_again_and_again, broker)
                await self._show_problems(broker)
                tg.cancel_scope.cancel()
            self._connected(camera)

    async def _show_problems(self, broker: FrameBroker) -> None:
        shown = ""
        while (problem := broker.problem) is not None:
            if problem.details != shown:
                shown = problem.details
                self._failed(problem)
            await broker.changed()

    async def _try_again_and_again(self, broker: FrameBroker) -> None:
        """Ask for one picture now and then; whoever else needs the camera makes it try much sooner."""
        pauses = GrowingPauses(_FIRST_TRIAL_PAUSE_S, _LONGEST_TRIAL_PAUSE_S)
        while True:
            await self._clock.sleep(pauses.next_s())
            with suppress(CaptureFailed):
                await broker.fresh(self._clock.monotonic_s())

    # What the core is told.

    def _known_of(self, capabilities: Capabilities | None) -> DetectedCamera:
        table = self._table(capabilities)
        return DetectedCamera(
            key=self.node.name,
            name=self._name(capabilities),
            fingerprint=fingerprint(self.node, capabilities),
            media_input=None,
            modes=modes_of(capabilities) if capabilities else (),
            controls=controls_of(capabilities) if capabilities else (),
            number_hint=self.node.number,
            configured_id=CameraId(table.id) if table and table.id else None,
        )

    def _known_so_far(self) -> DetectedCamera | None:
        """None while it may be no camera, or one that cannot be recognised yet, as only USB devices can unasked."""
        captures = self.node.told_capabilities is not None and "capture" in self.node.told_capabilities
        if self._capabilities is None and not (self.node.usb is not None and captures):
            return None
        return self._known_of(self._capabilities)

    def _table(self, capabilities: Capabilities | None) -> CameraSettings | None:
        seen = fingerprint(self.node, capabilities)
        return settings_of(self._context.settings, self.node, seen, self._name(capabilities))

    def _is_disabled(self, capabilities: Capabilities | None) -> bool:
        table = self._table(capabilities)
        return table is not None and not table.enabled

    def _name(self, capabilities: Capabilities | None) -> str:
        product = self.node.usb.product if self.node.usb else ""
        return product or (capabilities.card if capabilities else "") or self.node.shown_name

    def _connected(self, camera: DetectedCamera) -> None:
        if self._unplugged:  # in the very moment in which it was ready: the cancellation comes one step later
            return
        self._reported = True
        self._report.connected(camera)

    def _failed(self, error: AgentError, camera: DetectedCamera | None = None) -> None:
        if self._unplugged or not (self._reported or camera):
            return
        self._reported = True
        self._report.failed(self.node.name, f"{error.details} {error.suggestion}", camera)


def _explained(error: Exception) -> AgentError:
    """What an operator is told of an error that has ended a camera's task."""
    inner: Exception = error
    while isinstance(inner, ExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, AgentError):
        return inner
    return CaptureFailed(
        f"The agent failed at this camera ({type(inner).__name__}).",
        reason="agent_failed",
        suggestion="Its log has the whole error; it tries again with growing pauses.",
    )
