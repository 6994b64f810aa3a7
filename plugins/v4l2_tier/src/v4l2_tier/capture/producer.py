"""Producer of frames from a V4L2 device, for its frame broker."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import anyio

from agent_core.plugin import CaptureFailed, Clock, Control, WorkerPool, first_of
from agent_core.plugin.controls import DevicePanel
from agent_core.plugin.frames import ExposureSettling, FrameProducer, FrameSink
from v4l2_tier.capture.damage import Damage, JpegsDamaged
from v4l2_tier.capture.delivery import Delivery, FilledBuffers
from v4l2_tier.capture.exposure import ExposureClock
from v4l2_tier.capture.fallback import CaptureMode, OnMode
from v4l2_tier.capture.jpegs import JpegReader
from v4l2_tier.capture.key_frames import KeyFrameRequests
from v4l2_tier.capture.limits import RecoveryLadder, Silence, Step
from v4l2_tier.capture.mode_notes import changes, shown
from v4l2_tier.capture.raw_encoder import RawEncoder
from v4l2_tier.capture.source_watch import SourceWatch, WatchedSource
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.capture_device import CaptureDevice, PictureLayout
from v4l2_tier.device.connection import Connection
from v4l2_tier.device.controls import ControlDevice, DeviceControls
from v4l2_tier.device.errors import no_signal, other_codec
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CaptureSettings

__all__ = ("OpenDevice", "Opener", "V4l2Producer")

_log = logging.getLogger("camera_agent.v4l2_tier")


class OpenDevice(FilledBuffers, ControlDevice, WatchedSource, Protocol):
    """Part of `CaptureDevice` that the producer needs; see there."""

    def fileno(self) -> int: ...

    def connect(self, settings: CaptureSettings) -> Connection: ...

    def offer(self) -> Capabilities | NoCamera: ...

    def configure(self, mode: ChosenMode) -> PictureLayout: ...

    def start(self, buffers: int) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


#: Opener of a device; tests pass their own.
Opener = Callable[[Path, Capabilities], OpenDevice]
#: Receiver of what a device offers now.
OnOffer = Callable[[Capabilities], object]
#: Problems that a restart may solve. A camera that is gone, busy or short of bandwidth is left to the broker.
_WORTH_A_RESTART = frozenset({"camera_stalled", "frames_damaged", "device_error", "source_changed"})
_DOING: Mapping[Step, str] = MappingProxyType(
    {
        Step.RESTART: "restarting the stream",
        Step.CHANGE_FORMAT: "changing the picture format",
        Step.REOPEN: "reopening the device",
    }
)
#: V4L2_CID_EXPOSURE_AUTO by its name, and V4L2_EXPOSURE_MANUAL.
_AUTO_EXPOSURE, _MANUAL = "auto_exposure", 1
#: Problems of a device that may offer something else by now.
_OFFER_IN_DOUBT = frozenset({"device_error", "format_refused"})
#: Time for the exposure to settle whose pictures are coded, so that their brightness is not known: cameras take 1 to 2 s.
_CODED_SETTLE_S = 2.0
#: Pause after a wake-up without a frame, to avoid a busy loop: a driver may signal an error that it does not report.
_NOTHING_READY_PAUSE_S = 0.01


class V4l2Producer(FrameProducer):
    """Sole owner of a capture device.

    A parked device is open and set up but has no buffers, so that other programs may capture. Slow system calls run in
    the device's own thread and are awaited even when cancelled: a descriptor in use by a thread must not be closed or
    lost. The kernel's USB time-outs (5 s) bound them.

    Args:
        device_path: the device node.
        capabilities: capabilities of this device; opening another device behind the same node fails.
        settings: format, size and rate.
        panel: sets the controls, each time the device is opened and its stream started.
        clock: the monotonic clock, which V4L2 uses for its time stamps.
        open_device: opener of the device; tests replace it.
        threads: pool for this device's system calls, decoding and encoding, not shared with other devices; default:
            one thread.
        on_mode: receives the mode when the producer changes it, because the camera's JPEGs cannot be read, or it offers others.
        on_offer: receives what the device offers when that is no longer `capabilities`; `on_mode` then receives the mode
            chosen from it. Without it, the producer keeps to `capabilities`.
        asks_always: ask for the offer at each opening, not only after a failure: for devices without hardware.

    Raises:
        CaptureFailed: (`no_usable_format`) the camera offers no usable format.
    """

    def __init__(
        self,
        device_path: Path,
        capabilities: Capabilities,
        settings: CaptureSettings,
        panel: DevicePanel,
        *,
        clock: Clock,
        open_device: Opener = CaptureDevice.open,
        on_offer: OnOffer | None = None,
        asks_always: bool = False,
        threads: WorkerPool | None = None,
        on_mode: OnMode = lambda _: None,
    ) -> None:
        self._path = device_path
        self._capabilities = capabilities
        self._settings = settings
        self._clock = clock
        self._open_device = open_device
        self._threads = threads or WorkerPool(1)
        self._mode = CaptureMode(capabilities, settings, on_mode)
        self._reader = JpegReader(self._threads, settings.jpeg_check, capabilities.card)
        self._encoder = RawEncoder(settings.jpeg_quality, settings.deep_levels, capabilities.card)
        self._settling = ExposureSettling(_settle_s(settings, self.chosen))
        self._key_frames = KeyFrameRequests(
            capabilities.controls, clock=clock, threads=self._threads, name=capabilities.card
        )
        self._panel = panel
        self._on_mode, self._on_offer = on_mode, on_offer
        self._asks_always = asks_always
        self._has_news = False
        self._silence = Silence.of(self.chosen.interval)
        self._device: OpenDevice | None = None
        self._layout: PictureLayout | None = None
        self._connection = Connection()
        self._recoveries: Counter[str] = Counter()
        self._told: tuple[str, ...] = ()
        #: True once frames came in the present mode.
        self._has_streamed = True

    @property
    def chosen(self) -> ChosenMode:
        """Mode to capture in."""
        return self._mode.chosen

    @property
    def recoveries(self) -> tuple[tuple[str, int], ...]:
        """Count of each recovery step taken: `restart`, `change_format`, `reopen`, `give_up`."""
        return tuple(sorted(self._recoveries.items()))

    @property
    def layout(self) -> PictureLayout | None:
        """Layout that the driver agreed to at the last setup, or None before the first."""
        return self._layout

    async def park(self) -> None:
        if self._device is not None:
            try:
                await self._threads.run(self._set_up, self._device)
                self._tell()
            except CaptureFailed as error:  # it was unplugged or taken while parked
                _log.debug("reopening the parked camera: %s", error.details)
                await self.close()
            else:
                return
        await self._threads.run(self._open)
        self._tell()

    def _tell(self) -> None:
        self._panel.tell()
        if self._has_news and self._on_offer is not None:
            self._has_news = False
            self._on_offer(self._capabilities)
            self._on_mode(self.chosen)

    def _open(self) -> None:
        # Stored at once, in the thread: later steps may fail, and the caller may have been cancelled.
        self._device = device = self._open_device(self._path, self._capabilities)
        self._set_up(device, is_new=True)

    def _set_up(self, device: OpenDevice, *, is_new: bool = False) -> None:
        self._connection = connection = device.connect(self._settings)
        if connection.has_changed or (is_new and self._asks_always):
            self._ask_again(device)
        self._layout = layout = self._configured(device)
        # A driver may report no rate, or deliver far fewer frames than it offered.
        self._silence = Silence.of(max(self.chosen.interval, layout.interval or self.chosen.interval))
        notes = [*connection.notes, *self.chosen.notes, *changes(self.chosen, layout), *layout.notes]
        notes += self._panel.settle(self._port(device), rewrite=is_new)
        if tuple(notes) != self._told:
            self._told = tuple(notes)
            for note in notes:
                _log.warning("%s: %s", self._capabilities.card, note)

    def _configured(self, device: OpenDevice) -> PictureLayout:
        """Set the chosen mode. If the driver refuses or changes it, choose again from what it offers now."""
        try:
            layout = device.configure(self.chosen)
        except CaptureFailed as error:
            if error.reason not in _OFFER_IN_DOUBT or not self._ask_again(device):
                raise
            layout = device.configure(self.chosen)
        else:
            other_size = (layout.width, layout.height) != (self.chosen.width, self.chosen.height)
            if other_size and self._ask_again(device):
                layout = device.configure(self.chosen)
        is_mended = layout.raw.interlaced and self._settings.deinterlace
        return replace(layout, raw=replace(layout.raw, interlaced=is_mended))

    def _ask_again(self, device: OpenDevice) -> bool:
        """Return whether the device offers something else than before; if so, choose from it.

        Raises:
            CaptureFailed: (`no_signal`) it is no camera now; (`no_usable_format`) it offers nothing usable;
                (`offer_changed`) its pictures are coded otherwise, so that another broker must serve them.
        """
        if self._on_offer is None:
            return False
        found = device.offer()
        if isinstance(found, NoCamera):
            raise no_signal(found.why)
        if found.formats == self._capabilities.formats:
            return False
        offered = replace(self._capabilities, formats=found.formats)
        mode = CaptureMode(offered, self._settings, self._on_mode)
        if mode.chosen.codec is not self.chosen.codec:
            raise other_codec()
        self._mode = mode
        self._capabilities = offered
        self._has_news = True
        _log.info("%s offers other formats than before; using %s", offered.card, shown(self.chosen))
        return True

    def _port(self, device: OpenDevice) -> DeviceControls:
        return DeviceControls(device, self._capabilities.controls)

    def key_frame_wanted(self) -> None:
        self._key_frames.want()

    async def stream(self, sink: FrameSink) -> None:
        try:
            await self._stream(sink)
        except CaptureFailed:
            if not self._has_streamed:
                self._mode.change_back()
            raise

    async def _stream(self, sink: FrameSink) -> None:
        ladder = RecoveryLadder()
        first_s = self._silence.first_s
        while True:
            try:
                await self._stream_once(sink, first_s)
            except CaptureFailed as error:
                await self._recover(error, ladder)
                first_s = self._silence.again_s if self._has_streamed else self._silence.first_s

    async def _recover(self, error: CaptureFailed, ladder: RecoveryLadder) -> None:
        """Take the next recovery step; raise `error` if no step could help."""
        worth_it = error.reason in _WORTH_A_RESTART
        step = ladder.next(self._clock.monotonic_s()) if worth_it else Step.GIVE_UP
        if step is not Step.RESTART and isinstance(error, JpegsDamaged) and self._mode.can_change:
            step = Step.CHANGE_FORMAT
        self._recoveries[step.name.lower()] += 1
        if step is Step.GIVE_UP:
            raise error
        _log.warning("%s: %s; %s", self._capabilities.card, error.details.rstrip("."), _DOING[step])
        if step is Step.REOPEN:
            await self.close()
        if step is Step.CHANGE_FORMAT:
            self._has_streamed = False
            self._mode.change()
        await self.park()

    async def _stream_once(self, sink: FrameSink, first_s: float) -> None:
        """Deliver frames until cancelled.

        Raises:
            CaptureFailed: the device failed, or was silent for too long.
        """
        device, layout = self._device, self._layout
        if device is None or layout is None:
            raise RuntimeError("stream without park")
        try:
            started_s = self._clock.monotonic_s()
            await self._threads.run(self._start, device)
            self._panel.tell()
            delivery = self._delivery(device, layout, sink, started_s)
            try:
                await self._pump(device, delivery, first_s)
            finally:
                self._has_streamed |= delivery.has_delivered
        finally:
            with anyio.CancelScope(shield=True):
                await self._threads.run(_stop, device)

    def _start(self, device: OpenDevice) -> None:
        """Start the stream. Some cameras and drivers return to their defaults then, so the controls are compared again."""
        device.start(self._settings.buffers)
        if self._panel.has_wishes:
            self._panel.settle(self._port(device), rewrite=False)

    def _delivery(
        self, device: OpenDevice, layout: PictureLayout, sink: FrameSink, started_s: float
    ) -> Delivery:
        lead_s = float(layout.interval or self.chosen.interval)
        self._settling.start(is_manual=_has_fixed_exposure(self._panel.controls))
        return Delivery(
            device,
            layout,
            sink,
            clock=self._clock,
            threads=self._threads,
            exposure=ExposureClock(started_s, lead_s),
            encoder=self._encoder,
            started_s=self._clock.monotonic_s(),
            on_gap=self._key_frames.want,
            reader=self._reader,
            damage=Damage(layout.code, self._mode.raw_formats, can_change=self._mode.can_change),
            settling=self._settling,
        )

    async def _pump(self, device: OpenDevice, delivery: Delivery, first_s: float) -> None:
        problem: CaptureFailed | None = None

        async def watch() -> None:
            nonlocal problem
            problem = await delivery.until_silent(self._silence, first_s)

        async def deliver() -> None:
            nonlocal problem
            try:
                while True:
                    await anyio.wait_readable(device.fileno())
                    if not await delivery.deliver_ready():
                        await self._clock.sleep(_NOTHING_READY_PAUSE_S)
            except CaptureFailed as error:
                problem = error

        async def watch_source() -> None:
            nonlocal problem
            watched = self._connection.input_index
            source = SourceWatch(device, watched, clock=self._clock, threads=self._threads)
            problem = await source.until_other()

        await first_of(watch, deliver, watch_source, partial(self._key_frames.run, device))
        if problem is not None:
            raise problem

    async def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with anyio.CancelScope(shield=True):
                await self._threads.run(device.close)


def _settle_s(settings: CaptureSettings, chosen: ChosenMode) -> float | None:
    return _CODED_SETTLE_S if chosen.is_coded and settings.settle_s is None else settings.settle_s


def _has_fixed_exposure(controls: Iterable[Control]) -> bool:
    return any(each.name == _AUTO_EXPOSURE and each.value == _MANUAL for each in controls)


def _stop(device: OpenDevice) -> None:
    try:
        device.stop()
    except CaptureFailed as error:  # the device is gone: nothing is left to stop
        _log.debug("the stream could not be stopped: %s", error.details)
