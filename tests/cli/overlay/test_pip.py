"""Faults of pip, as sentences with the next step."""

import pytest

from agent_core.base.processes import Finished
from agent_core.cli.overlay.pip import Sources, explained

CRASH = """ERROR: Exception:
Traceback (most recent call last):
  File "/pip/_internal/cli/base_command.py", line 103, in _inner_run
ssl.SSLError: [X509] PEM lib (_ssl.c:4126)

"""
OTHER_PYTHON = "ERROR: Package 'lamp' requires a different Python: 3.11.2 not in '>=3.15'\n"


@pytest.mark.parametrize(
    ("stderr", "free_bytes", "reason", "details", "suggestion"),
    [
        (CRASH, 1 << 30, "pip_failed", "pip: ssl.SSLError: [X509] PEM lib (_ssl.c:4126).", ""),
        (CRASH, 100_000, "disk_full", "The disk is full.", "Free some space"),
        (OTHER_PYTHON, 1 << 30, "pip_failed", "requires a different Python: 3.11.2", "for this Python"),
        (
            "ERROR: No matching distribution found for lamp\n",
            1 << 30,
            "pip_failed",
            "lamp",
            "Correct the name",
        ),
        ("", 1 << 30, "pip_failed", "without saying why", ""),
    ],
)
def test_a_fault_is_explained(
    stderr: str, free_bytes: int, reason: str, details: str, suggestion: str
) -> None:
    found = explained(Finished(1, b"", stderr, overflowed=False), Sources(), free_bytes)
    assert found.reason == reason
    assert details in found.details
    assert suggestion in found.suggestion
