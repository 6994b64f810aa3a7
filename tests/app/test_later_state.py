"""State files of a later version of the agent, as a downgrade leaves them behind: said, neither used nor changed."""

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.view_links import NewViewLink, ViewLinks
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, StartFailed
from agent_core.base.models import CameraId, Fingerprint
from agent_core.base.volume_records import VolumeRecord
from agent_core.base.volumes import KnownVolumes
from agent_core.cameras.identity import Known
from agent_core.cameras.kept_controls import KeptControls
from agent_core.cameras.ledger import Ledger
from agent_core.config import AgentConfig
from agent_core.media.retention.policy import UNKNOWN, PolicyFile
from agent_core.plugin_host.watchdog.quarantine import Freeze, Quarantine
from agent_core.plugin_host.watchdog.records import Review, keep
from agent_core.recordings.clock_trust import ClockTrust
from agent_core.recordings.shelf import NOTE, RecordingShelf
from agent_core.testing import SimulatedClock
from agent_core.testing.agents import running_agent
from external_discovery.discovery.interval import StoredInterval
from external_discovery.streams import SECRETS_FILE, STREAMS_FILE, StreamFiles

#: Content that no earlier version understands.
LATER = json.dumps({"version": 2, "cameras": {"camera0": 1}, "policy": {"policy_type": "tiers"}}).encode()


def _said(error: AgentError | None) -> None:
    assert error is not None
    logging.getLogger("camera_agent.test").warning("%s %s", error.details, error.suggestion)


async def _refused(kept: Ledger | KeptControls) -> None:
    async with anyio.create_task_group() as tg:
        tg.start_soon(kept.keep_saved, SystemClock())
        tg.cancel_scope.cancel()
    assert kept.problem is not None


async def _ledger(path: Path) -> None:
    ledger = Ledger(path)
    _said(ledger.load())
    assert ledger.known == ()
    ledger.remember(Known(CameraId("camera0"), Fingerprint("test", "1"), "Camera"))
    await _refused(ledger)


async def _volumes(path: Path) -> None:
    known = KnownVolumes(path)
    _said(known.load())
    known.keep(VolumeRecord(root="/srv", mount_point="/", is_separate=False, uuids=()))
    assert not known.is_saved


async def _clock(path: Path) -> None:
    trust = ClockTrust(path)
    assert not trust.has_measure()
    trust.judge("", 86_400.0)


async def _policy(path: Path) -> None:
    policy, problem = PolicyFile(path).load()
    assert policy == UNKNOWN
    _said(problem)


async def _quarantine(path: Path) -> None:
    freeze = Freeze(plugin="p", version="1", settings="", place="x", boot_id="b", at_s=1.0)
    config = AgentConfig.model_validate({"storage": {"state_dir": str(path.parent)}})
    _said(keep(config, Review(Quarantine(freezes=(freeze,)), ())))


async def _api_keys(path: Path) -> None:
    keys = ApiKeys(path, SimulatedClock())
    assert keys.refresh() == ()
    for change in (lambda: keys.create("user", Role.VIEWER), lambda: keys.revoke("user")):
        with pytest.raises(AgentError) as refused:
            change()
        _said(refused.value)


async def _revoked(path: Path) -> None:
    tokens = RevokedTokens(path, SimulatedClock())
    tokens.refresh()
    assert tokens.covers("any"), "a token may be among those that cannot be read"
    with pytest.raises(AgentError) as refused:
        tokens.revoke("any")
    _said(refused.value)


async def _view_links(path: Path) -> None:
    clock = SimulatedClock()
    links = ViewLinks(path, clock)
    links.refresh()
    with pytest.raises(AgentError) as refused:
        links.create(NewViewLink(None, "olga", clock.now()))
    _said(refused.value)


async def _streams(path: Path) -> None:
    files = StreamFiles(path.parent)
    assert await files.load() == ()
    logging.getLogger("camera_agent.test").warning("%s", files.problems)
    with pytest.raises(AgentError):
        await files.save(())


async def _interval(path: Path) -> None:
    interval = StoredInterval(path.parent, 60)
    await interval.load()
    assert interval.value_s == 60
    interval.value_s = 5
    with pytest.raises(OSError, match="later version"):
        await interval.store()


async def _controls(path: Path) -> None:
    kept = KeptControls(path)
    _said(kept.load())
    kept.put(CameraId("camera0"), {"brightness": 1})
    await _refused(kept)


@pytest.mark.parametrize(
    ("name", "meet"),
    [
        ("cameras.json", _ledger),
        ("camera-controls.json", _controls),
        ("volumes.json", _volumes),
        ("clock.json", _clock),
        ("retention.json", _policy),
        ("quarantine.json", _quarantine),
        ("api-keys.json", _api_keys),
        ("revoked-tokens.json", _revoked),
        ("view-links.json", _view_links),
        (STREAMS_FILE, _streams),
        (SECRETS_FILE, _streams),
        ("external_discovery-interval.json", _interval),
    ],
)
async def test_a_file_of_a_later_version_is_named_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, meet: Callable[[Path], Awaitable[None]]
) -> None:
    path = tmp_path / name
    path.write_bytes(LATER)
    path.chmod(0o600)
    before = path.stat()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # the first time must not prepare a change
            await meet(path)
    assert f"{name} is of a later version" in caplog.text
    assert path.read_bytes() == LATER
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (
        before.st_ino, before.st_mtime_ns, before.st_mode,
    )  # fmt: skip
    assert [each.name for each in tmp_path.iterdir() if not each.name.endswith(".lock")] == [name]


@pytest.mark.parametrize("name", ["cameras.json", "volumes.json"])
async def test_the_agent_does_not_start_without_knowing_its_cameras_and_disks(
    tmp_path: Path, name: str
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / name).write_bytes(LATER)
    (state / name).chmod(0o600)
    with pytest.raises(BaseExceptionGroup) as refused:
        async with running_agent(folder=tmp_path):
            pass
    assert refused.group_contains(StartFailed, match=f"{name} is of a later version")
    assert (state / name).read_bytes() == LATER


def test_a_backup_of_a_later_version_counts_too(tmp_path: Path) -> None:
    """The file itself is damaged or deleted: beginning anew would replace the backup in the end."""
    backup = tmp_path / "cameras.json.bak"
    backup.write_bytes(LATER)
    backup.chmod(0o600)
    known = KnownVolumes(tmp_path / "cameras.json")
    problem = known.load()
    assert problem is not None
    assert "cameras.json.bak is of a later version" in problem.details
    known.keep(VolumeRecord(root="/srv", mount_point="/", is_separate=False, uuids=()))
    assert [each.name for each in tmp_path.iterdir()] == ["cameras.json.bak"]
    assert backup.read_bytes() == LATER


def test_a_recording_of_a_later_version_is_not_taken_for_one_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "camera0" / "camera0_2026-11-22_17-03-54Z"
    folder.mkdir(parents=True)
    note = {
        "id": folder.name, "camera": "camera0", "format": "fmp4",
        "started_at": datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC).isoformat(),
    }  # fmt: skip
    shelf = RecordingShelf(tmp_path)
    (folder / NOTE).write_text(json.dumps(note))
    assert shelf.note_in(folder) is not None, "a note without a version is of the first"
    later = json.dumps(note | {"version": 2})
    (folder / NOTE).write_text(later)
    for _ in range(2):
        assert shelf.note_in(folder) is None
    (told,) = caplog.messages
    assert f"recording.json of {folder.name} is of a later version" in told
    assert (folder / NOTE).read_text() == later
