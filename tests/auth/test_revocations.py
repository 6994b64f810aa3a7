"""The file of revoked tokens."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from agent_core.auth.revocations import MOST_REVOKED, RevokedTokens
from agent_core.base.errors import AgentError, InvalidState, StateCorrupt, StorageFailed
from agent_core.base.small_files import LIMIT_BYTES
from agent_core.testing import SimulatedClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "revoked-tokens.json"


def covers(revoked: RevokedTokens, token_id: str) -> bool:
    """Judge by what the file has now."""
    revoked.refresh()
    return revoked.covers(token_id)


def test_a_revocation_outlives_the_process(path: Path, clock: SimulatedClock) -> None:
    RevokedTokens(path, clock).revoke("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = RevokedTokens(path, clock)
    assert covers(again, "a")
    assert not covers(again, "b")


def test_what_another_process_revokes_holds_at_once(path: Path, clock: SimulatedClock) -> None:
    running = RevokedTokens(path, clock)
    assert not covers(running, "a")
    RevokedTokens(path, clock).revoke("a")
    assert covers(running, "a")


def test_expired_tokens_make_room_only_when_there_is_none(path: Path, clock: SimulatedClock) -> None:
    revoked = RevokedTokens(path, clock)
    path.parent.mkdir()
    ids = [f"{number:0128}" for number in range(MOST_REVOKED - 2)]
    entries = ",".join(f'{{"id": "{each}", "expires_at": null}}' for each in ids)
    path.write_text(f'{{"tokens": [{entries}]}}')
    path.chmod(0o600)
    revoked.revoke("soon", clock.now() + timedelta(seconds=60))
    clock.jump(61)
    revoked.revoke("late")
    assert covers(revoked, "soon"), "a clock that is set back would make it valid again"
    revoked.revoke("later")
    assert not covers(revoked, "soon")
    with pytest.raises(InvalidState) as caught:
        revoked.revoke("last")
    assert all(covers(revoked, each) for each in (*ids, "late", "later"))
    assert path.stat().st_size < LIMIT_BYTES
    assert path.name in str(caught.value.suggestion), "the list stays full when only the secret is replaced"
    path.unlink()
    revoked.revoke("last")
    assert covers(revoked, "last")


def test_a_revocation_repeated_takes_no_room(path: Path, clock: SimulatedClock) -> None:
    revoked = RevokedTokens(path, clock)
    revoked.revoke("a")
    size_bytes = path.stat().st_size
    revoked.revoke("a")
    assert path.stat().st_size == size_bytes


@pytest.mark.parametrize("content", ['{"tokens": [{"id": ', "[]", '{"tokens": [{"id": 5}]}', ""])
def test_a_broken_file_makes_no_token_valid_and_is_left_alone(
    path: Path, clock: SimulatedClock, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o600)
    revoked = RevokedTokens(path, clock)
    assert covers(revoked, "a")
    assert covers(revoked, "b")
    assert [each.message for each in caplog.records] == [
        "no token is valid: revoked-tokens.json is unusable (its content is invalid)"
    ]
    with pytest.raises(StateCorrupt):
        revoked.revoke("a")
    assert path.read_text() == content
    path.unlink()
    assert not covers(revoked, "a")


def test_a_state_folder_that_is_not_there_restores_no_token(path: Path, clock: SimulatedClock) -> None:
    problems: list[AgentError] = []

    def require() -> None:
        if problems:
            raise problems[0]

    revoked = RevokedTokens(path, clock, require=require)
    revoked.revoke("a")
    assert covers(revoked, "a")
    problems.append(StorageFailed("The state folder is not there."))
    path.unlink()
    assert covers(revoked, "a")
    problems.clear()
    assert not covers(revoked, "a")


def test_a_revocation_counts_although_the_state_folder_seems_not_to_be_there(
    path: Path, clock: SimulatedClock
) -> None:
    problems: list[AgentError] = []

    def require() -> None:
        if problems:
            raise problems[0]

    revoked = RevokedTokens(path, clock, require=require)
    assert not covers(revoked, "a")
    problems.append(StorageFailed("The lock file of the state folder is not there."))
    RevokedTokens(path, clock).revoke("a")
    assert covers(revoked, "a")
    path.write_text("{")
    assert covers(revoked, "b"), "an unusable file grants nothing"
    path.unlink()
    assert covers(revoked, "b")
