"""FFmpeg for plugins: find it, run it and explain its failures."""

from agent_core.plugin.ffmpeg.explanation import explain, redact
from agent_core.plugin.ffmpeg.program import QUIET, bundled, locate, run, stream

__all__ = ("QUIET", "bundled", "explain", "locate", "redact", "run", "stream")
