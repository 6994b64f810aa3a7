"""The ledger's file: written, read back, damaged."""

from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId, Fingerprint
from agent_core.cameras.identity import Known
from agent_core.cameras.ledger import Ledger

CAMERA = Known(CameraId("camera3"), Fingerprint("usb", "S1", "1-1", "x"), "Front")
OTHER = Known(CameraId("camera4"), Fingerprint("usb", "S2", "1-2", "x"), "Back")


async def save(path: Path, *cameras: Known) -> None:
    ledger = Ledger(path)
    ledger.load()
    for camera in cameras:
        async with anyio.create_task_group() as tg:
            tg.start_soon(ledger.keep_saved, SystemClock())
            ledger.remember(camera)
            tg.cancel_scope.cancel()


async def test_what_is_remembered_survives(tmp_path: Path) -> None:
    await save(tmp_path / "cameras.json", CAMERA)
    again = Ledger(tmp_path / "cameras.json")
    assert again.load() is None
    assert again.known == (CAMERA,)


async def test_a_damaged_file_is_set_aside_and_the_one_before_used(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    await save(path, CAMERA, OTHER)
    path.write_bytes(b'{"version": 1, "cameras": [{"id"')
    ledger = Ledger(path)
    problem = ledger.load()
    assert problem is not None
    assert problem.reason == "cameras_corrupt"
    assert "cameras.json.corrupt" in problem.suggestion
    assert ledger.known == (CAMERA,)
    assert (tmp_path / "cameras.json.corrupt").read_bytes().startswith(b'{"version"')


@pytest.mark.parametrize("text", ["front", "camera-1", "camera007", "CAMERA3", "camera\u00b2", ""])
async def test_an_id_that_is_none_is_damage_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cameras.json"
    await save(path, CAMERA, OTHER)
    path.write_text(path.read_text().replace("camera4", text))
    ledger = Ledger(path)
    assert ledger.load() is not None
    assert ledger.known == (CAMERA,)


async def test_without_any_good_copy_it_starts_empty_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text("not json")
    ledger = Ledger(path)
    assert ledger.load() is not None
    assert ledger.known == ()


def test_a_first_start_is_no_problem(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "none.json").load() is None
