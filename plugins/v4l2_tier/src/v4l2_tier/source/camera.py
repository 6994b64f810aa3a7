"""Life of one device node: probed, reported if it is a camera, served by a frame broker, shown as failed on trouble."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anyio

from agent_core.plugin import (
    AgentError,
    CameraId,
    CaptureFailed,
    ChangedControls,
    DetectedCamera,
    GrowingPauses,
    WorkerPool,
    first_of,
)
from agent_core.plugin.controls import DevicePanel
from agent_core.plugin.frames import BrokerState, FrameBroker, FrameProducer, FrameServer, report_problems
from v4l2_tier.capture.limits import broker_settings
from v4l2_tier.device.calls import Answers
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.errors import OTHER_CODEC, camera_changed, explain, no_signal
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.offered import controls_of, modes_of
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CameraSettings, CaptureSettings
from v4l2_tier.source.context import CameraContext
from v4l2_tier.source.fingerprint import fingerprint
from v4l2_tier.source.inventory import DeviceNode
from v4l2_tier.source.matching import known_as
from v4l2_tier.source.shown_camera import captured, explained_to_operator
from v4l2_tier.source.start_order import ProbePlace, Turn

__all__ = ("V4l2Camera",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Time for an answer before a camera is shown as failed: just above the 5 s that the kernel allows a USB control transfer.
_PROBE_S = 6.0
#: Time without an answer after which a camera makes place for others, and the longest time that it keeps its place.
_PLACE_S, _LONGEST_PLACE_S = 1.0, 30.0
#: Pause between looks at a bridge without a signal: opening one takes milliseconds, and people wait for the picture.
_SIGNAL_PAUSE_S = 5.0
_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S = 1.0, 60.0


class V4l2Camera:
    """One device node and, if it is a camera, its broker. The source owns it: runs `run` and calls `gone`."""

    def __init__(self, node: DeviceNode, context: CameraContext) -> None:
        self.node = node
        self._context = context
        self._report = context.report
        self._clock = context.clock
        # A hanging probe keeps its thread even after the camera has gone, so each camera has a thread of its own.
        self._threads = WorkerPool(1)
        self._scope = anyio.CancelScope()
        self._capabilities: Capabilities | None = None
        self._reported = False
        self._unplugged = False
        self._touched = anyio.Event()
        self._is_outdated = anyio.Event()
        self._told_why = ""

    def gone(self) -> None:
        """Report the camera as disconnected at once, then end `run`; call when the node has disappeared."""
        self._unplugged = True
        if self._reported:
            self._report.disconnected(self.node.name, "The camera was unplugged.")
        self._scope.cancel()

    def touched(self) -> None:
        """Look again soon; call when the node, its rights or its properties may have changed."""
        self._touched.set()

    async def run(self, turn: Turn) -> None:
        """Probe and serve the node until `gone`.

        Reports for the first time in its `turn`, which is done then, or when there is nothing to report.
        Raises nothing of its own: errors are reported as this camera's failure.
        """
        pauses = GrowingPauses(_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S)
        with self._scope:
            while True:
                try:
                    await self._run(turn)
                except Exception as error:  # noqa: BLE001 - the other cameras keep running
                    _log.exception("the camera %s failed with an unexpected error", self.node.shown_name)
                    self._failed(explained_to_operator(error), self._known_so_far())
                else:
                    break
                turn.done()
                await self._clock.sleep(pauses.next_s())
        turn.done()

    async def _run(self, turn: Turn) -> None:
        """Serve the node for as long as it is a camera; look again at one that may become a camera."""
        while not self._is_disabled(None):
            found = await self._probed(turn)
            if isinstance(found, NoCamera):
                self._tell_no_camera(found)
            elif self._is_disabled(found):
                break
            elif fault := self._lacking_signal(found):
                self._tell_no_signal(found, fault)
                turn.done()
                await self._pause(_SIGNAL_PAUSE_S)
                continue
            elif await self._serve(found, turn):
                continue
            if not self._may_become_usable(found):
                return
            turn.done()
            await self._pause(self._context.settings.reconcile_s)
        self._context.dismiss(self.node.name)
        _log.info("%s is disabled by its settings; not using it", self.node.shown_name)

    def _lacking_signal(self, found: Capabilities) -> str:
        """Return why the input that is to be used has no signal; empty if it has one, or if that is not to be checked."""
        settings = self._table(found) or self._context.settings.defaults
        is_other = settings.input is not None and found.source.named(settings.input) != found.source.selected
        return "" if is_other or not settings.check_signal else found.source.fault

    def _tell_no_signal(self, found: Capabilities, fault: str) -> None:
        if self._capabilities is None or fault != self._told_why:
            self._told_why = fault
            self._capabilities = found
            self._failed(no_signal(fault), self._known_so_far())

    def _may_become_usable(self, found: Capabilities | NoCamera) -> bool:
        """Return whether to ask a device again that cannot be used now.

        A device without hardware may become anything. A bridge offers what its source sends. Other hardware stays what it
        is; opening it again and again would wake USB cameras.
        """
        return self.node.is_virtual or (isinstance(found, Capabilities) and self.node.usb is None)

    def _tell_no_camera(self, found: NoCamera) -> None:
        self._context.dismiss(self.node.name)
        if found.why != self._told_why:
            self._told_why = found.why
            level, why = self._context.sensors.told(self.node, found)
            _log.log(level, "%s is not a camera: %s", self.node.path.name, why)
        if self._capabilities is not None:
            self._failed(no_signal(found.why), self._known_so_far())

    async def _next_look(self, broker: FrameBroker) -> None:
        """Wait until it is time to ask a device without hardware, or a bridge without a signal; or for a touch of any."""
        if self.node.is_virtual:
            await self._pause(self._context.settings.reconcile_s)
            return
        while not self._touched.is_set() and self._capabilities and self._capabilities.source.is_bridge:
            await first_of(partial(self._clock.sleep, _SIGNAL_PAUSE_S), self._touched.wait)
            if _lacks_signal(broker):
                return
        await self._touched.wait()
        self._touched = anyio.Event()

    # Probing.

    async def _probed(self, turn: Turn) -> Capabilities | NoCamera:
        """Probe until the device answers; report a known camera as failed after each failed attempt."""
        pauses = GrowingPauses(_FIRST_PROBE_PAUSE_S, _LONGEST_PROBE_PAUSE_S)
        while True:
            try:
                return await self._probe(turn)
            except CaptureFailed as error:
                self._probe_failed(error)
            turn.done()
            await self._pause(pauses.next_s())

    async def _pause(self, duration_s: float) -> None:
        """Wait, or until the node is touched."""
        await first_of(partial(self._clock.sleep, duration_s), self._touched.wait)
        self._touched = anyio.Event()

    async def _probe(self, turn: Turn) -> Capabilities | NoCamera:
        """Probe once, without a time limit; report the camera as failed after 6 s without an answer to any call.

        A device with many modes needs long on a slow machine, and asking again would not help. The kernel's own
        time-outs end a call that hangs.
        """
        found: Capabilities | NoCamera | OSError
        answers = Answers()

        async def probe() -> None:
            nonlocal found
            try:
                found = await self._threads.run_abandonable(self._context.probe, self.node.path, answers)
            except OSError as error:
                found = error

        place = await self._context.places.take()
        try:
            await first_of(probe, partial(self._tell_if_silent, turn, place, answers))
        finally:
            place.leave()
        await turn.wait()
        if isinstance(found, OSError):
            raise explain(found, "reading the camera's capabilities") from found
        if isinstance(found, Capabilities) and found.device_number not in (0, self.node.device_number):
            raise camera_changed()
        return self._context.sensors.without_bare(found)

    async def _tell_if_silent(self, turn: Turn, place: ProbePlace, answers: Answers) -> None:
        """Leave the place to other cameras, then report this one as failed, if it is silent; wait until cancelled."""
        answered, silent_s, asked_s = answers.count, 0.0, 0.0
        while silent_s < _PROBE_S:
            await self._clock.sleep(_PLACE_S)
            asked_s += _PLACE_S
            silent_s = silent_s + _PLACE_S if answers.count == answered else 0.0
            answered = answers.count
            if silent_s or asked_s >= _LONGEST_PLACE_S:
                place.leave()
        self._probe_failed(
            CaptureFailed(
                f"The camera did not answer for {_PROBE_S:g} s.",
                reason="camera_silent",
                suggestion="Wait; if it stays silent, unplug the camera and plug it in again.",
            )
        )
        turn.done()
        await anyio.sleep_forever()

    def _probe_failed(self, error: CaptureFailed) -> None:
        self._told_why = ""
        _log.warning("%s: %s %s", self.node.shown_name, error.details, error.suggestion)
        if error.reason != "camera_gone":
            self._failed(error, self._known_so_far())

    # Serving.

    async def _serve(self, capabilities: Capabilities, turn: Turn) -> bool:
        """Serve the camera until the device offers something else while it is not in use, or another kind of video.

        Return False at once if nothing of what it offers can be used.
        """
        settings = self._settings_of(capabilities)
        panel = self._panel_of(capabilities, settings)
        known = replace(self._known_of(capabilities), panel=panel)
        self._told_why, self._capabilities = "", capabilities
        path = self._context.sockets.path(known.fingerprint, self.node.name)
        chosen: ChosenMode

        def on_mode(mode: ChosenMode) -> None:
            nonlocal chosen
            chosen = mode
            if broker.problem is None:
                connected()

        def connected() -> None:
            offered = self._capabilities or capabilities
            camera = captured(replace(known, modes=modes_of(offered)), path, chosen, broker)
            self._connected(replace(camera, controls=panel.controls))

        try:
            producer, chosen = self._context.make_producer(
                self.node, capabilities, settings, panel, self._clock, on_mode, self._take_offer
            )
        except CaptureFailed as error:  # permanent until the camera is unplugged
            self._failed(error, replace(known, panel=None))
            return False
        broker = self._new_broker(producer, chosen, settings)
        async with self._context.sockets.held(path), anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(FrameServer(broker, path, clock=self._clock, fps=chosen.fps).run)
            tg.start_soon(panel.run)
            connected()
            turn.done()
            await self._until_outdated(broker, connected)
            tg.cancel_scope.cancel()
        return True

    def _new_broker(
        self, producer: FrameProducer, chosen: ChosenMode, settings: CaptureSettings
    ) -> FrameBroker:
        limits = broker_settings(settings, chosen, is_virtual=self.node.is_virtual)
        return FrameBroker(producer, clock=self._clock, settings=limits, codec=chosen.codec)

    def _take_offer(self, offered: Capabilities) -> None:
        self._capabilities = offered

    async def _until_outdated(self, broker: FrameBroker, connected: Callable[[], None]) -> None:
        """Report the broker's problems until something else is to be served."""
        report = partial(
            report_problems, broker, failed=self._troubled, connected=connected, clock=self._clock
        )
        await first_of(report, partial(self._until_other, broker), self._is_outdated.wait)
        self._is_outdated = anyio.Event()

    async def _until_other(self, broker: FrameBroker) -> None:
        """Return when the device, while it is closed, offers something else than it is served with."""
        while True:
            await self._next_look(broker)
            if not _is_idle(broker):
                continue
            try:
                found = await self._threads.run_abandonable(self._context.probe, self.node.path, Answers())
            except OSError:  # its next use tells the reason
                continue
            if _is_idle(broker) and self._is_other(found, lacked_signal=_lacks_signal(broker)):
                return

    def _is_other(self, found: Capabilities | NoCamera, *, lacked_signal: bool) -> bool:
        if self._capabilities is None or isinstance(found, NoCamera):
            return True
        if lacked_signal:
            return not self._lacking_signal(found)
        return found.offer != self._capabilities.offer

    def _panel_of(self, capabilities: Capabilities, settings: CaptureSettings) -> DevicePanel:
        return DevicePanel(
            controls_of(capabilities),
            partial(self._context.open_controls, self.node.path, capabilities),
            report=self._controls_set,
            configured=settings.controls,
        )

    # Reporting to the core.

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
        """Return the camera as known without its next answer.

        None while the node may not be a camera, or cannot be identified: only USB devices can before a probe.
        """
        captures = self.node.udev_capabilities is not None and "capture" in self.node.udev_capabilities
        if self._capabilities is None and not (self.node.usb is not None and captures):
            return None
        return self._known_of(self._capabilities)

    def _table(self, capabilities: Capabilities | None) -> CameraSettings | None:
        return self._context.tables.of(self.node, capabilities)

    def _settings_of(self, capabilities: Capabilities) -> CaptureSettings:
        """Return the camera's table, or the defaults; say which names a table could use if one is left over."""
        table = self._table(capabilities)
        if table is None and self._context.tables.unused:
            names = ", ".join(repr(each) for each in known_as(self.node, capabilities))
            _log.info(
                "%s matches no table of plugins.v4l2_tier.cameras; it is %s", self.node.shown_name, names
            )
        return table or self._context.settings.defaults

    def _is_disabled(self, capabilities: Capabilities | None) -> bool:
        table = self._table(capabilities)
        return table is not None and not table.enabled

    def _name(self, capabilities: Capabilities | None) -> str:
        product = self.node.usb.product if self.node.usb else ""
        return product or (capabilities.card if capabilities else "") or self.node.shown_name

    def _connected(self, camera: DetectedCamera) -> None:
        if self._unplugged:  # unplugged just as it became ready: the cancellation arrives one step later
            return
        self._reported = True
        self._report.connected(camera)

    def _controls_set(self, changed: ChangedControls) -> None:
        if self._reported and not self._unplugged:
            self._report.controls(self.node.name, changed)

    def _troubled(self, error: AgentError) -> None:
        if error.reason == OTHER_CODEC:
            self._is_outdated.set()
        else:
            self._failed(error)

    def _failed(self, error: AgentError, camera: DetectedCamera | None = None) -> None:
        if self._unplugged or not (self._reported or camera):
            return
        self._reported = True
        self._report.failed(self.node.name, f"{error.details} {error.suggestion}", camera)


def _lacks_signal(broker: FrameBroker) -> bool:
    return broker.problem is not None and broker.problem.reason == "no_signal"


def _is_idle(broker: FrameBroker) -> bool:
    return broker.state is BrokerState.COLD
