"""An agent that starts on the state folder of an earlier version finds its cameras, keys and files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent_core.testing.agents import RunningAgent, running_agent
from tests.media.files import H264, make, source

FIXTURE = Path(__file__).parents[1] / "fixtures/state-4ce49df"
#: For this fixture only: its api-keys.json holds the hash.
TEST_ONLY_API_KEY = "ck_Rt5u0k8-3PzdnFSB3t-FEJ5TvdkSN3iWnaGagFGkfXc"
FRONT_DOOR, GARDEN = "camera0_2026-11-29_17-19-05Z", "camera100_2026-11-29_17-19-10Z"
SEGMENTS = {
    FRONT_DOOR: "2026-11-29_17-19-05-968389.mp4",
    GARDEN: "2026-11-29_17-19-11-188612.mp4",
}
PICTURE = "camera0_2026-11-29_17-19-02-732Z.jpg"
#: Only the serial numbers lead back to the ids: the configuration names none, and another order.
CAMERAS = [
    {"name": name, "serial": serial, "width": 320, "height": 240}
    for name, serial in (("Garden", "garden"), ("Front door", "front-door"))
]
CONFIG = {"plugins": {"enabled": ["virtual_camera"], "virtual_camera": {"cameras": CAMERAS}}}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """The agent's folder, with the state of the earlier version and its modes."""
    state = tmp_path / "state"
    shutil.copytree(FIXTURE, state, ignore=shutil.ignore_patterns("README.md"))
    for each in state.rglob("*"):
        each.chmod(0o755 if each.is_dir() else 0o640)
    state.chmod(0o700)
    for name in ("secret", "api-keys.json", "cameras.json", "cameras.json.bak"):
        (state / name).chmod(0o600)
    for recording, segment in SEGMENTS.items():
        place = state / "recordings" / recording.partition("_")[0] / recording / segment
        await make(place, *source(10, 2), *H264)
    return tmp_path


async def ask(agent: RunningAgent, method: str, **params: Any) -> Any:
    async with agent.client(None) as client:
        login = await client.call("authenticate", auth_token=TEST_ONLY_API_KEY)
        assert login["role"] == "operator"
        return await client.call(method, **params)


async def test_cameras_keep_their_ids_names_and_file(folder: Path) -> None:
    async with running_agent(config=CONFIG, folder=folder) as agent:
        found = (await ask(agent, "get_camera_list"))["cameras"]
    assert {each["device"]: each["name"] for each in found} == {
        "camera0": "Front door",
        "camera100": "Garden",
    }
    before = json.loads((FIXTURE / "cameras.json").read_text())
    assert json.loads((folder / "state/cameras.json").read_text()) == before
    assert (folder / "state/secret").read_bytes() == (FIXTURE / "secret").read_bytes()


async def test_snapshots_are_listed_and_described(folder: Path) -> None:
    async with running_agent(config=CONFIG, folder=folder) as agent:
        listed = await ask(agent, "list_snapshots")
        known = await ask(agent, "get_snapshot_info", filename=f"camera0/{PICTURE}")
    size_bytes = (FIXTURE / "snapshots/camera0" / PICTURE).stat().st_size
    (only,) = listed["files"]
    assert (only["filename"], only["device"], only["file_size"]) == (
        f"camera0/{PICTURE}",
        "camera0",
        size_bytes,
    )
    assert (known["device"], known["resolution"], known["format"]) == ("camera0", "320x240", "jpg")


@pytest.mark.parametrize(
    ("recording", "device", "reason", "created"),
    [
        (FRONT_DOOR, "camera0", None, "2026-11-29T17:19:05.449"),
        (GARDEN, "camera100", "agent_ended", "2026-11-29T17:19:10.601"),
    ],
)
async def test_recordings_are_listed_and_described(
    folder: Path, recording: str, device: str, reason: str | None, created: str
) -> None:
    async with running_agent(config=CONFIG, folder=folder) as agent:
        listed = await ask(agent, "list_recordings")
        known = await ask(agent, "get_recording_info", filename=recording)
    assert [each["filename"] for each in listed["files"]] == [GARDEN, FRONT_DOOR]
    assert [each["duration"] for each in listed["files"]] == pytest.approx([2, 2])
    assert (known["device"], known["complete"], known.get("reason")) == (device, True, reason)
    assert known["created_time"].startswith(created)
    assert [each["filename"] for each in known["segments"]] == [SEGMENTS[recording]]


async def test_notes_of_ended_recordings_stay_as_they_were(folder: Path) -> None:
    async with running_agent(config=CONFIG, folder=folder) as agent:
        await ask(agent, "list_recordings")
    for recording in SEGMENTS:
        note = Path("recordings", recording.partition("_")[0], recording, "recording.json")
        assert (folder / "state" / note).read_bytes() == (FIXTURE / note).read_bytes()
