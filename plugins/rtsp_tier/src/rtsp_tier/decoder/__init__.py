"""Decoding in a worker process: the client that the tiers use."""

from rtsp_tier.decoder.client import DecoderClient, ReaderGone, Reading
from rtsp_tier.decoder.source import VideoSource
from rtsp_tier.decoder.worker_run import WorkerFailed, WorkerLimits

__all__ = ("DecoderClient", "ReaderGone", "Reading", "VideoSource", "WorkerFailed", "WorkerLimits")
