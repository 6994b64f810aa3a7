"""API keys: made, listed and revoked on the agent's host."""

import hashlib
import os
import pwd
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.links import DownloadLinks, Link
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Principal, Role
from agent_core.auth.secret import Secret, SecretFile
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AuthenticationFailed

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home


async def test_a_key_is_good_until_it_is_revoked(cli: "Cli", home: "Home") -> None:
    made = await cli("key", "create", "--role", "viewer", "--user", "wall", "--json")
    key = made.value["key"]
    assert made.value == {
        "key": key,
        "id": hashlib.sha256(key.encode()).hexdigest()[:16],
        "user": "wall",
        "kind": "api",
        "role": "viewer",
        "expires_at": None,
    }
    file = home.state_dir / "api-keys.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text()
    keys = ApiKeys(file, SystemClock())
    keys.refresh()
    assert (keys.verify(key).user_id, keys.verify(key).role) == ("wall", Role.VIEWER)
    again = await cli("key", "create", "--role", "admin", "--user", "wall")
    assert (again.code, again.out) == (1, b"")
    assert "already has an API key" in again.lines[0]
    (listed,) = (await cli("key", "list", "--json")).value
    assert (listed["user"], listed["role"], listed["expires_at"]) == ("wall", "viewer", None)
    assert (await cli("key", "revoke", "wall")).code == 0
    keys.refresh()
    with pytest.raises(AuthenticationFailed):
        keys.verify(key)
    assert (await cli("key", "revoke", "wall")).code == 1
    assert (await cli("key", "list")).text == "There are no API keys.\n"


async def test_a_key_ends_when_it_was_told_to(cli: "Cli", home: "Home") -> None:
    made = await cli("key", "create", "--role", "admin", "--user", "cron", "--lifetime-s", "90", "--json")
    (stored,) = ApiKeys(home.state_dir / "api-keys.json", SystemClock()).refresh()
    assert stored.expires_at is not None
    assert made.value["expires_at"] == stored.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert timedelta(seconds=85) < stored.expires_at - stored.created_at <= timedelta(seconds=91)
    assert made.value["expires_at"] in (await cli("key", "list")).text


@pytest.mark.parametrize(
    "command", [["create", "--role", "viewer", "--user", "x"], ["revoke", "x"], ["list"]]
)
async def test_a_file_of_keys_that_cannot_be_read_is_left_alone(
    cli: "Cli", home: "Home", command: list[str]
) -> None:
    file = home.state_dir / "api-keys.json"
    home.state_dir.mkdir()
    file.write_text('{"keys": [{"user_id": "torn')
    ended = await cli("key", *command)
    assert (ended.code, ended.out) == (1, b"")
    assert "not a file of API keys" in ended.lines[0]
    assert file.read_text() == '{"keys": [{"user_id": "torn'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_no_key_is_made_in_a_folder_of_another_account(cli: "Cli", home: "Home") -> None:
    home.state_dir.mkdir()
    os.chown(home.state_dir, 65534, 65534)
    ended = await cli("key", "create", "--role", "viewer", "--user", "x")
    assert ended.code == 4
    assert "belongs to another user" in ended.lines[0]
    assert f"`sudo -u {pwd.getpwuid(65534).pw_name}`" in ended.lines[1]
    assert list(home.state_dir.iterdir()) == []


async def test_a_key_gets_another_role(cli: "Cli", home: "Home") -> None:
    key = (await cli("key", "create", "--role", "viewer", "--user", "wall")).text.strip()
    keys = ApiKeys(home.state_dir / "api-keys.json", SystemClock())
    keys.refresh()
    before = keys.verify(key)
    assert (await cli("key", "change", "wall", "--role", "operator")).text == "Changed.\n"
    keys.refresh()
    after = keys.verify(key)
    assert (before.role, after.role) == (Role.VIEWER, Role.OPERATOR)
    assert not keys.is_current(before.credential)
    assert keys.is_current(after.credential)
    assert (await cli("key", "change", "nobody", "--role", "admin")).code == 1


async def test_a_key_that_signs_calls_is_made_listed_and_revoked(cli: "Cli", home: "Home") -> None:
    made = (
        await cli("key", "create", "--kind", "mqtt", "--role", "operator", "--user", "wall", "--json")
    ).value
    await cli("key", "create", "--role", "viewer", "--user", "wall")
    listed = await cli("key", "list")
    assert made["key"] not in listed.text
    rows = listed.text.splitlines()[1:]
    assert [line.split()[:3] for line in rows] == [
        ["wall", "mqtt", "operator"],
        ["wall", "api", "viewer"],
    ]
    assert made["id"] in rows[0]
    ambiguous = await cli("key", "revoke", "wall")
    assert (ambiguous.code, "both kinds" in ambiguous.lines[0]) == (1, True)
    changed = await cli("key", "change", "wall", "--kind", "mqtt", "--role", "admin", "--json")
    assert changed.value == {"user": "wall", "kind": "mqtt", "role": "admin"}
    revoked = await cli("key", "revoke", "wall", "--kind", "mqtt", "--json")
    assert revoked.value == {"revoked": "wall", "kind": "mqtt"}
    (left,) = ApiKeys(home.state_dir / "api-keys.json", SystemClock()).refresh()
    assert (left.kind, left.role) == ("api", Role.VIEWER)


@pytest.mark.parametrize("by", ["file", "standard input"])
async def test_an_existing_key_that_signs_is_stored(cli: "Cli", home: "Home", by: str) -> None:
    key, file = "mk_" + "e" * 43, home.path / "key"
    file.write_text(f"{key}\n")
    name = str(file) if by == "file" else "-"
    arguments = ("--kind", "mqtt", "--role", "viewer", "--user", "fleet", "--key-file", name)
    made = await cli("key", "create", *arguments, input=file.read_bytes() if name == "-" else b"")
    (stored,) = ApiKeys(home.state_dir / "api-keys.json", SystemClock()).refresh()
    assert (stored.secret, stored.user_id) == (key, "fleet")
    # Its owner has the key: a terminal, or the log of an installation, need not show it once more.
    assert (made.code, made.text) == (0, f"Stored, with the id {stored.id}.\n")


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"ck_" + b"e" * 43, "mqtt", 1),
        (b"mk_" + b"e" * 43, "api", 1),
        (b"\xff", "mqtt", 2),
        (None, "mqtt", 2),
    ],
)
async def test_what_is_no_key_that_signs_is_refused(
    cli: "Cli", home: "Home", content: bytes | None, kind: str, code: int
) -> None:
    file = home.path / "key"
    if content is not None:
        file.write_bytes(content)
    ended = await cli(
        "key", "create", "--kind", kind, "--role", "viewer", "--user", "x", "--key-file", str(file)
    )
    assert (ended.code, ended.out) == (code, b"")
    assert content is None or content.decode(errors="replace") not in "".join(ended.lines)
    assert (await cli("key", "list")).text == "There are no API keys.\n"


async def test_a_listed_id_is_the_one_that_the_agent_revokes(cli: "Cli", home: "Home") -> None:
    await cli("key", "create", "--role", "viewer", "--user", "wall")
    await cli("key", "create", "--role", "viewer", "--user", "door")
    listed = (await cli("key", "list", "--json")).value
    keys = ApiKeys(home.state_dir / "api-keys.json", SystemClock())
    keys.revoke_id(next(each["id"] for each in listed if each["user"] == "wall"))
    assert [each.user_id for each in keys.refresh()] == ["door"]


@pytest.mark.parametrize("by", ["id", "file", "standard input"])
async def test_a_token_is_revoked(cli: "Cli", home: "Home", by: str) -> None:
    made = (await cli("token", "create", "--role", "viewer", "--json")).value
    other = (await cli("token", "create", "--role", "viewer", "--json")).value
    file = home.path / "token"
    file.write_text(made["token"] + "\n")
    if by == "id":
        ended = await cli("token", "revoke", made["id"])
    elif by == "file":
        ended = await cli("token", "revoke", "--file", str(file))
    else:
        ended = await cli("token", "revoke", "--file", "-", input=file.read_bytes())
    assert (ended.code, ended.text) == (0, "Revoked.\n")
    clock = SystemClock()
    revoked = RevokedTokens(home.state_dir / "revoked-tokens.json", clock)
    secret = SecretFile(home.state_dir / "secret")
    secret.refresh()
    revoked.refresh()
    tokens = TokenAuthority(secret, clock, revoked)
    with pytest.raises(AuthenticationFailed) as caught:
        tokens.verify(made["token"])
    assert caught.value.reason == "token_revoked"
    assert tokens.verify(other["token"]).role is Role.VIEWER


async def test_a_link_is_revoked(cli: "Cli", home: "Home") -> None:
    clock = SystemClock()
    secret = Secret.load(home.state_dir / "secret")
    revoked = RevokedTokens(home.state_dir / "revoked-tokens.json", clock)
    links = DownloadLinks(secret, clock, is_current=lambda _: True, is_revoked=revoked.covers)
    user = Principal("someone", Role.VIEWER, None, "key:abc")
    url, other = (links.of(user)("snapshots", name) for name in ("camera0/é a.jpg", "b.jpg"))
    file = home.path / "link"
    file.write_text(f"http://box:8002{url}\n")
    assert (await cli("link", "revoke", "--file", str(file))).text == "Revoked.\n"
    revoked.refresh()
    assert not links.is_valid(Link.parse(url))
    assert links.is_valid(Link.parse(other))
    for wrong in (url[:-1], "nothing", other.replace("b.jpg", "c.jpg")):
        ended = await cli("link", "revoke", "--file", "-", input=wrong.encode())
        assert ended.code == 2
        assert "not a link" in ended.lines[0]
    assert links.is_valid(Link.parse(other))


async def test_what_is_no_token_of_this_agent_is_not_revoked(cli: "Cli", home: "Home") -> None:
    file = home.path / "token"
    file.write_text("eyJhbGciOiJIUzI1NiJ9.e30.x\n")
    assert (await cli("token", "revoke", "--file", str(file))).code == 4
    assert (await cli("token", "revoke")).code == 2
    assert (await cli("token", "revoke", "a b")).code == 2
    assert not (home.state_dir / "revoked-tokens.json").exists()
