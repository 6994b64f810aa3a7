"""FFmpeg as a tool that plugins share: find it, run it, and say in a sentence what went wrong."""

from agent_core.plugin.ffmpeg.explanation import explain, redact
from agent_core.plugin.ffmpeg.program import QUIET, bundled, locate, run, stream

__all__ = ("QUIET", "bundled", "explain", "locate", "redact", "run", "stream")
