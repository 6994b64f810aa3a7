import stat
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.errors import (
    AuthenticationFailed,
    InvalidState,
    NotFound,
    PermissionDenied,
    RateLimited,
    StartFailed,
)

if TYPE_CHECKING:
    from tests.toy_server import Toy

GOOD = b"kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7"


def test_the_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    first = Secret.load(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Secret.load(path).value == first.value
    assert Secret.load(tmp_path / "other").value != first.value
    assert len(first.value) >= 32
    assert first.value.decode() not in repr(first)
    assert first.derive("a") != first.derive("b") != first.value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "secret_too_short"),
        (GOOD[:31], "secret_too_short"),
        (b"a" * 64, "secret_too_short"),
        (b"change-me-in-production-0123456789", "secret_default"),
        (b"your-secret-key-your-secret-key-0001", "secret_default"),
    ],
)
def test_weak_secrets_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content + b"\n")
    path.chmod(0o600)
    with pytest.raises(StartFailed) as caught:
        Secret.load(path)
    assert caught.value.reason == reason


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(GOOD)
    path.chmod(0o640)
    with pytest.raises(StartFailed) as caught:
        Secret.load(path)
    assert caught.value.reason == "secret_exposed"


def test_an_unusable_state_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailed) as caught:
        Secret.load(tmp_path / "file" / "secret")
    assert caught.value.reason == "secret_unreadable"


async def test_api_keys_are_stored_as_hashes_only(toy: "Toy", tmp_path: Path) -> None:
    key = toy.keys.create("robot", Role.OPERATOR)
    path = tmp_path / "state" / "api-keys.json"
    assert key.startswith("ck_")
    assert len(key) == 46
    assert key not in path.read_text()
    assert key[3:] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    principal = await toy.auth.authenticate(key, "a")
    assert (principal.user_id, principal.role, principal.expires_at) == ("robot", Role.OPERATOR, None)


async def test_a_key_revoked_elsewhere_ends_at_once(toy: "Toy", tmp_path: Path) -> None:
    from agent_core.auth.api_keys import ApiKeys

    key = toy.keys.create("robot", Role.OPERATOR)
    await toy.auth.authenticate(key, "a")
    elsewhere = ApiKeys(tmp_path / "state" / "api-keys.json", toy.clock)
    elsewhere.revoke("robot")
    with pytest.raises(AuthenticationFailed) as caught:
        await toy.auth.authenticate(key, "a")
    assert caught.value.reason == "api_key_invalid"
    with pytest.raises(NotFound):
        elsewhere.revoke("robot")
    assert elsewhere.create("robot", Role.VIEWER) != key
    with pytest.raises(InvalidState):
        toy.keys.create("robot", Role.VIEWER)


def test_keys_expire_and_a_broken_file_holds_none(
    toy: "Toy", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = toy.keys.create("robot", Role.VIEWER, expires_at=toy.clock.now() + timedelta(seconds=5))
    toy.keys.verify(key)
    toy.clock.jump(5)
    with pytest.raises(AuthenticationFailed) as caught:
        toy.keys.verify(key)
    assert caught.value.reason == "api_key_expired"
    (tmp_path / "state" / "api-keys.json").write_text('{"keys": [' + key)
    toy.keys.refresh()
    with pytest.raises(AuthenticationFailed) as caught:
        toy.keys.verify(key)
    assert caught.value.reason == "api_key_invalid"
    assert key not in caplog.text
    (tmp_path / "state" / "api-keys.json").unlink()
    assert toy.keys.refresh() == ()


@pytest.mark.parametrize(
    "key", ["ck_", "ck_" + "a" * 42, "ck_" + "a" * 44, "ck_" + "a" * 43, "ck_" + "é" * 43]
)
def test_wrong_keys(toy: "Toy", key: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        toy.keys.verify(key)
    assert caught.value.reason == "api_key_invalid"


async def test_an_address_that_fails_too_often_is_not_told_why(toy: "Toy") -> None:
    expired = toy.token(lifetime_s=0)
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            await toy.auth.authenticate("wrong", "a")
    for wrong in ("wrong", "", expired, "ck_" + "a" * 43):
        with pytest.raises(RateLimited) as caught:
            await toy.auth.authenticate(wrong, "a")
        assert (caught.value.reason, caught.value.retry_after_ms) == ("too_many_failures", 6000)
    with pytest.raises(AuthenticationFailed):
        await toy.auth.authenticate("wrong", "b")
    toy.clock.jump(6)
    with pytest.raises(AuthenticationFailed):
        await toy.auth.authenticate("", "a")


async def test_failures_of_others_at_an_address_lock_nobody_out(toy: "Toy") -> None:
    key = toy.keys.create("robot", Role.OPERATOR)
    for _ in range(100):
        with pytest.raises((AuthenticationFailed, RateLimited)):
            await toy.auth.authenticate("wrong", "a")
    assert (await toy.auth.authenticate(toy.token(), "a")).user_id == "someone"
    assert (await toy.auth.authenticate(key, "a")).user_id == "robot"
    await toy.auth.require(toy.token(Role.ADMIN), "a", "admin")


async def test_one_request_needs_its_role(toy: "Toy") -> None:
    await toy.auth.require(toy.token(Role.ADMIN), "a", "viewer")
    with pytest.raises(PermissionDenied):
        await toy.auth.require(toy.token(Role.VIEWER), "a", "admin")
