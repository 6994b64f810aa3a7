"""Component that owns the tasks of the plugin, with all its parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import NOT_ASKED, AgentContext, CameraId, CameraStatus, Component
from agent_core.plugin.processes import python_module
from rtsp_tier.decoder import DecoderClient, WorkerLimits
from rtsp_tier.messages import Configure
from rtsp_tier.settings import RtspTierSettings
from rtsp_tier.tiers import (
    CodedPictures,
    DecodedFramesTier,
    ResidentsPolicy,
    RtspActivationTier,
    RtspReuseTier,
    WarmLeases,
)

__all__ = ("RtspTierComponent",)

_START_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class RtspTierComponent(Component):
    """The tiers and what they share, which `run` owns. Idle, it has no process, no reader and no timer."""

    decoder: DecoderClient
    pictures: CodedPictures
    leases: WarmLeases
    decoded: DecodedFramesTier
    reuse: RtspReuseTier
    activation: RtspActivationTier
    name: str = "rtsp_tier"

    @classmethod
    def assemble(
        cls, agent: AgentContext, settings: RtspTierSettings, *, worker: Sequence[str] | None = None
    ) -> "RtspTierComponent":
        """Build all parts.

        Args:
            agent: what the core lends.
            settings: the plugin's settings.
            worker: command of the worker process; default: that of `rtsp_tier.worker`.
        """
        clock, streams = agent.clock, agent.streams
        words = python_module("rtsp_tier.worker") if worker is None else worker
        decoder = DecoderClient(words, configure=_configure(settings), limits=_limits(settings), clock=clock)
        policy = ResidentsPolicy(
            limit=settings.resident_readers,
            within_s=settings.resident_within_s,
            ttl_s=settings.resident_ttl_s,
            alone_s=settings.keep_warm_s,
        )
        pictures = CodedPictures(decoder, streams, policy=policy, clock=clock)

        def is_connected(camera: CameraId) -> bool:
            known = (each for each in agent.cameras.list() if each.id == camera)
            return any(each.status is CameraStatus.CONNECTED for each in known)

        leases = WarmLeases(streams, keep_warm_s=settings.keep_warm_s, is_connected=is_connected, clock=clock)
        latency_s = settings.latency_s
        reuse = RtspReuseTier(pictures, streams, latency_s=latency_s)
        activation = RtspActivationTier(pictures, leases, streams, clock, latency_s=latency_s)
        decoded = DecodedFramesTier(pictures, clock)
        return cls(decoder, pictures, leases, decoded, reuse, activation)

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Own the worker process, the readers and the leases until cancelled."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.decoder.run)
            await tasks.start(self.pictures.run)
            await tasks.start(self.leases.run)
            task_status.started()


def _configure(settings: RtspTierSettings) -> Configure:
    return Configure(
        latency_s=settings.latency_s,
        connect_timeout_s=settings.connect_timeout_s,
        silence_timeout_s=settings.silence_timeout_s,
        group_limit_bytes=settings.resident_mb << 20,
        jpeg_quality=settings.jpeg_quality,
    )


def _limits(settings: RtspTierSettings) -> WorkerLimits:
    return WorkerLimits(
        start_s=_START_LIMIT_S,
        silence_s=settings.worker_silence_s,
        check_s=settings.worker_silence_s / 2,
        memory_bytes=settings.worker_mb << 20,
        idle_s=settings.worker_idle_s,
    )
