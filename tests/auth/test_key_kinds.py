"""Keys of both kinds in one file: what each is good for, and what is stored of it."""

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind, key_digest, key_form
from agent_core.base.errors import AuthenticationFailed, InvalidParams, InvalidState, NotFound
from agent_core.testing import SimulatedClock

if TYPE_CHECKING:
    from tests.toy_server import Toy

EXISTING = "mk_" + "e" * 43


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api-keys.json"


@pytest.fixture
def keys(path: Path) -> ApiKeys:
    return ApiKeys(path, SimulatedClock())


def signing(user: str, role: Role = Role.VIEWER, text: str | None = None) -> NewKey:
    return NewKey(user, role, KeyKind.MQTT, text=text)


def test_a_user_may_have_one_key_of_each_kind(keys: ApiKeys, path: Path) -> None:
    api = keys.create("robot", Role.VIEWER)
    mqtt, stored = keys.add(signing("robot"))
    assert key_form(KeyKind.MQTT).fullmatch(mqtt)
    assert not key_form(KeyKind.API).fullmatch(mqtt)
    assert stored.id == key_digest(mqtt)[:16]
    assert mqtt not in repr(stored)
    with pytest.raises(InvalidState, match="already has a key for signed calls"):
        keys.add(signing("robot"))
    with pytest.raises(InvalidState, match="already has an API key"):
        keys.create("robot", Role.VIEWER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert api not in path.read_text()
    assert mqtt in path.read_text()


def test_a_key_that_signs_is_no_api_key_and_the_other_way_round(keys: ApiKeys) -> None:
    api = keys.create("robot", Role.VIEWER)
    mqtt, stored = keys.add(signing("console"))
    assert keys.signing(stored.id) == stored
    assert keys.signing(key_digest(api)[:16]) is None
    with pytest.raises(AuthenticationFailed):
        keys.verify(mqtt)
    assert keys.is_current(stored.credential)


async def test_a_client_that_sends_its_signing_key_is_told(toy: "Toy") -> None:
    mqtt, _ = toy.keys.add(signing("console"))
    with pytest.raises(AuthenticationFailed) as caught:
        await toy.auth.authenticate(mqtt, "a")
    assert caught.value.reason == "wrong_key_kind"
    assert mqtt not in caught.value.details + caught.value.suggestion


def test_an_existing_key_is_stored_once(keys: ApiKeys) -> None:
    key, stored = keys.add(signing("fleet", text=EXISTING))
    assert (key, stored.secret) == (EXISTING, EXISTING)
    with pytest.raises(InvalidState, match="for another user"):
        keys.add(signing("other", text=EXISTING))


@pytest.mark.parametrize(
    "text", ["", "mk_short", "ck_" + "e" * 43, EXISTING + "x", f"{EXISTING}\n", "mk_" + "é" * 43]
)
def test_what_is_no_signing_key_is_refused(keys: ApiKeys, text: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        keys.add(signing("fleet", text=text))
    assert not text or text not in caught.value.details
    assert keys.stored() == ()


def test_no_api_key_is_chosen_by_its_user(keys: ApiKeys) -> None:
    with pytest.raises(InvalidParams):
        keys.add(NewKey("robot", Role.VIEWER, text="ck_" + "e" * 43))


def test_of_two_keys_the_kind_tells_which_is_meant(keys: ApiKeys) -> None:
    keys.create("robot", Role.VIEWER)
    keys.add(signing("robot"))
    with pytest.raises(InvalidState, match="keys of both kinds"):
        keys.revoke("robot")
    assert keys.change_role("robot", Role.ADMIN, KeyKind.MQTT).kind is KeyKind.MQTT
    assert [(each.kind, each.role) for each in keys.stored()] == [("api", "viewer"), ("mqtt", "admin")]
    assert keys.revoke("robot", KeyKind.MQTT).kind is KeyKind.MQTT
    with pytest.raises(NotFound, match="no key for signed calls"):
        keys.revoke("robot", KeyKind.MQTT)
    assert keys.revoke("robot").kind is KeyKind.API
    with pytest.raises(NotFound, match="has no API key"):
        keys.revoke("robot")


def test_a_file_of_api_keys_has_no_kinds(keys: ApiKeys, path: Path) -> None:
    """So an agent that knows no kinds reads it, and this one reads what such an agent has written."""
    keys.create("robot", Role.VIEWER)
    (written,) = json.loads(path.read_text())["keys"]
    assert set(written) == {"user_id", "role", "sha256", "created_at", "expires_at"}
    assert keys.stored()[0].kind is KeyKind.API


@pytest.mark.parametrize(
    "change",
    [
        {"secret": None},
        {"secret": "mk_" + "f" * 43},
        {"kind": "api"},
        {"kind": "other"},
        {"sha256": "0" * 64},
    ],
)
def test_a_stored_key_that_contradicts_itself_is_unusable(
    keys: ApiKeys, path: Path, change: dict[str, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    key, stored = keys.add(signing("console"))
    content = json.loads(path.read_text())
    content["keys"][0] |= change
    path.write_text(json.dumps(content))
    assert keys.refresh() == ()
    assert keys.signing(stored.id) is None
    assert key not in caplog.text
    assert "no API key is valid" in caplog.text
