"""Persistence of the folder `kept` across a reboot."""

from pathlib import Path

import pytest

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def test_something_is_kept(kept: Path) -> None:
    (kept / "boot_id").write_text(BOOT_ID.read_text())


@pytest.mark.after_reboot
def test_it_is_there_after_a_reboot(kept: Path) -> None:
    assert (kept / "boot_id").read_text() != BOOT_ID.read_text()
