"""The check of the decoder, with real processes."""

import sys

import pytest

from agent_core.plugin import FindingStatus
from rtsp_tier.checks import DecoderCheck


async def test_the_installed_decoder_is_named_with_its_version() -> None:
    pytest.importorskip("av")
    (found,) = await DecoderCheck().look()
    assert (found.status, found.detail.startswith("PyAV v")) == (FindingStatus.OK, True), found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((sys.executable, "-m", "no_such_decoder", "--version"), "No module named no_such_decoder"),
        (("sh", "-c", "kill -ILL $$"), "signal 4"),
        (("sh", "-c", "exit 3"), "exit code 3"),
    ],
)
async def test_a_decoder_that_cannot_be_loaded_is_a_failure(words: tuple[str, ...], said: str) -> None:
    """An import that kills the process, as on a processor that the wheel was not built for, ends no check."""
    (found,) = await DecoderCheck(words).look()
    assert (found.status, said in found.detail) == (FindingStatus.FAILED, True), found
    assert "camera-agent-rtsp-tier" in found.suggestion
