"""Check of `camera-agent doctor` for the decoder, PyAV; apart from the plugin, because only `doctor` imports it."""

from collections.abc import Sequence

import anyio

from agent_core.plugin import Check, Finding, FindingStatus, processes
from agent_core.plugin.processes import python_module

__all__ = ("DecoderCheck",)

_ANSWER_S = 9.0
_STEP = (
    "Install it: `apt install camera-agent-rtsp-tier`, or `pip install av` in the environment of the agent."
)


class DecoderCheck(Check):
    """Check that loads PyAV in a process of its own, as the worker does.

    Args:
        words: command that prints PyAV's version first; default: PyAV's own.
    """

    name = "rtsp_tier decoder"

    def __init__(self, words: Sequence[str] | None = None) -> None:
        self._words = python_module("av", "--version") if words is None else words

    async def look(self) -> Sequence[Finding]:
        with anyio.move_on_after(_ANSWER_S):
            done = await processes.run(self._words, output_limit_bytes=65_536)
            said = done.stdout.decode(errors="replace").splitlines()
            if done.returncode == 0 and said:
                return [self._finding(FindingStatus.OK, f"{said[0]} is installed.")]
            return [self._failed(_reason(done.stderr, done.returncode))]
        return [self._failed(f"it has not been loaded within {_ANSWER_S:g} s")]

    def _failed(self, why: str) -> Finding:
        return self._finding(FindingStatus.FAILED, f"The decoder PyAV cannot be used: {why}.", _STEP)

    def _finding(self, status: FindingStatus, detail: str, suggestion: str = "") -> Finding:
        return Finding(self.name, status, detail, suggestion)


def _reason(said: str, code: int) -> str:
    """Return the last line of the interpreter's error, or how the process ended."""
    lines = said.strip().splitlines()
    if code < 0:
        return f"the process was ended by signal {-code}"
    return lines[-1].rstrip(".") if lines else f"the process ended with exit code {code}"
