"""Decoding in a worker process: the client that the tiers use."""

from rtsp_tier.decoder.client import DecoderClient, ReaderGone
from rtsp_tier.decoder.worker_run import WorkerFailed, WorkerLimits

__all__ = ("DecoderClient", "ReaderGone", "WorkerFailed", "WorkerLimits")
