"""FFmpeg as a tool that plugins share: find it, run it, and say in a sentence what went wrong."""

from agent_core.plugin.ffmpeg.explain import explain, redact
from agent_core.plugin.ffmpeg.program import QUIET, bundled, locate, run

__all__ = ("QUIET", "bundled", "explain", "locate", "redact", "run")
