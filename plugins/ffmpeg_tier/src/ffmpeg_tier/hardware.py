"""Hardware encoder of the streams: tried at the agent's start, and replaced by software while it does not work."""

import logging

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import Check, Component, FfmpegFailed, Finding, FindingStatus, WorkerPool, ffmpeg
from ffmpeg_tier.encoders import SOFTWARE, Encoder, encoder_named
from ffmpeg_tier.settings import FfmpegTierSettings
from ffmpeg_tier.trial import TRIAL_S, try_encoder

__all__ = ("EncoderCheck", "HardwareEncoder")

_log = logging.getLogger("camera_agent.ffmpeg_tier")


class HardwareEncoder(Component):
    """Component that runs while the configured encoder works, and fails with the reason while it does not.

    The agent shows a failed component's reason in its status, and runs it again after growing pauses. Each run is a new
    trial, so a driver that is loaded late is found. An encoder that has worked is not tried again.

    Args:
        settings: names the encoder.
        program: FFmpeg to run, as for `ffmpeg.locate`.
        limit_s: longest time of a trial.
    """

    name = "hardware_encoder"

    def __init__(
        self, settings: FfmpegTierSettings, *, program: str | None, limit_s: float = TRIAL_S
    ) -> None:
        self._settings = settings
        self._program = program
        self._limit_s = limit_s
        self._threads = WorkerPool(1)
        self._configured = encoder_named(settings.encoder)
        self._chosen: Encoder | None = None

    @property
    def chosen(self) -> Encoder:
        """Encoder for streams that start now.

        Raises:
            FfmpegFailed: (`encoder_untried`) the first trial is under way; a stream that began in software would stay so.
        """
        if self._chosen is None:
            raise FfmpegFailed(
                f"The encoder {self._configured.name} is still being tried.",
                reason="encoder_untried",
                suggestion="Try again in a few seconds.",
            )
        return self._chosen

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Try the encoder; then keep running until cancelled.

        Raises:
            FfmpegFailed: it does not work; streams are encoded by `SOFTWARE`.
        """
        try:
            program = await self._threads.run_abandonable(ffmpeg.locate, self._program)
            await try_encoder(self._configured, self._settings, program, limit_s=self._limit_s)
        except FfmpegFailed as error:
            self._chosen = SOFTWARE
            raise _in_software(error) from error
        self._chosen = self._configured
        _log.info("streams are encoded by %s", self._configured.name)
        task_status.started()
        await anyio.sleep_forever()


class EncoderCheck(Check):
    """Check that the configured encoder works. Arguments: those of `HardwareEncoder`."""

    name = "hardware encoder"

    def __init__(self, settings: FfmpegTierSettings, *, program: str | None) -> None:
        self._settings = settings
        self._program = program

    async def look(self) -> list[Finding]:
        encoder = encoder_named(self._settings.encoder)
        if encoder == SOFTWARE:
            return []
        try:
            program = await WorkerPool(1).run_abandonable(ffmpeg.locate, self._program)
            await try_encoder(encoder, self._settings, program)
        except FfmpegFailed as error:
            found = _in_software(error)
            return [Finding(self.name, FindingStatus.WARNING, found.details, found.suggestion)]
        return [Finding(self.name, FindingStatus.OK, f"{encoder.name} encodes here.")]


def _in_software(error: FfmpegFailed) -> FfmpegFailed:
    """Return `error` with what the agent does about it."""
    if error.reason == "ffmpeg_missing":
        return error
    return FfmpegFailed(
        f"{error.details} Streams are encoded in software ({SOFTWARE.name}).",
        reason=error.reason,
        suggestion=error.suggestion,
        detail=error.detail,
    )
