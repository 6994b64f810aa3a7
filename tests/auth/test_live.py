"""What runs on credentials, and its end when a file of the state folder changes."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.live import LiveAccess
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.errors import AuthenticationFailed
from tests.toy_server import Peer, Toy

SECRET = "kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7"


def write_secret(toy: Toy, text: str, mode: int = 0o600) -> None:
    path = toy.state_dir / "secret"
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def revoke_token(toy: Toy, token: str) -> None:
    """Revoke as the command line does: in another process."""
    claims, _ = toy.tokens.examine(token)
    RevokedTokens(toy.state_dir / "revoked-tokens.json", toy.clock).revoke(claims.id, claims.expires_at)


def edit_keys(toy: Toy, old: str, new: str) -> None:
    path = toy.state_dir / "api-keys.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class Room:
    """Peers of one toy, by what they authenticated with; each has a running call."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.keys = ApiKeys(toy.state_dir / "api-keys.json", toy.clock)
        self.key = self.keys.create("robot", Role.OPERATOR)
        self.other_key = self.keys.create("other", Role.OPERATOR)
        self.token = toy.token()
        self.other_token = toy.token()
        self.peers: dict[str, Peer] = {}

    async def ended(self) -> set[str]:
        """Return whose connections have ended after one look at the files."""
        await self.toy.files.look()
        await self.toy.clock.advance(0)
        return {name for name, peer in self.peers.items() if peer.ended.is_set()}


@pytest.fixture
async def room(toy: Toy) -> AsyncIterator[Room]:
    made = Room(toy)
    credentials = {
        "key": made.key, "other_key": made.other_key, "token": made.token, "other_token": made.other_token
    }  # fmt: skip
    async with toy.peer() as anonymous:
        made.peers["anonymous"] = anonymous
        async with toy.peer() as a, toy.peer() as b, toy.peer() as c, toy.peer() as d:
            for (name, text), peer in zip(credentials.items(), (a, b, c, d), strict=True):
                await peer.result("authenticate", auth_token=text)
                await peer.post(1, "wait")
                made.peers[name] = peer
            await anyio.wait_all_tasks_blocked()
            assert toy.doors.entered == 4
            assert await made.ended() == set()
            yield made


CHANGES: dict[str, tuple[Callable[[Room], object], set[str]]] = {
    "a key is revoked": (lambda room: room.keys.revoke("robot"), {"key"}),
    "a key is revoked by its id": (lambda room: room.keys.revoke_id(room.keys.refresh()[0].id), {"key"}),
    "a role is lowered": (lambda room: room.keys.change_role("robot", Role.VIEWER), {"key"}),
    "a role is raised": (lambda room: room.keys.change_role("robot", Role.ADMIN), {"key"}),
    "an end is set by hand": (
        lambda room: edit_keys(room.toy, '"expires_at": null', '"expires_at": "2030-01-01T00:00:00Z"'),
        {"key", "other_key"},
    ),
    "a token is revoked": (lambda room: revoke_token(room.toy, room.token), {"token"}),
    "the keys are deleted": (
        lambda room: (room.toy.state_dir / "api-keys.json").unlink(),
        {"key", "other_key"},
    ),
    "the keys are torn": (
        lambda room: (room.toy.state_dir / "api-keys.json").write_text("{"),
        {"key", "other_key"},
    ),
    "an end is set by hand that no UTC time can express": (
        lambda room: edit_keys(room.toy, '"expires_at": null', '"expires_at": "9999-12-31T23:59:59-01:00"'),
        {"key", "other_key"},
    ),
    "an end is set by hand without an offset": (
        lambda room: edit_keys(room.toy, '"expires_at": null', '"expires_at": "2030-01-01T00:00:00"'),
        {"key", "other_key"},
    ),
    "the secret is deleted": (
        lambda room: (room.toy.state_dir / "secret").unlink(),
        {"token", "other_token"},
    ),
    "the secret is replaced": (lambda room: write_secret(room.toy, SECRET), {"token", "other_token"}),
    "the secret becomes weak": (lambda room: write_secret(room.toy, "short"), {"token", "other_token"}),
    "the secret is exposed": (
        lambda room: write_secret(room.toy, SECRET, mode=0o644),
        {"token", "other_token"},
    ),
    "another key is made": (lambda room: room.keys.create("third", Role.ADMIN), set()),
    "an unknown token is revoked": (
        lambda room: RevokedTokens(room.toy.state_dir / "revoked-tokens.json", room.toy.clock).revoke("x"),
        set(),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_the_files_ends_what_runs_on_it_and_nothing_else(room: Room, change: str) -> None:
    do, expected = CHANGES[change]
    do(room)
    assert await room.ended() == expected
    assert room.toy.doors.cancelled == len(expected)
    assert len(room.toy.live) == len(room.peers) - len(expected)


async def test_a_key_used_between_the_change_and_the_look_hides_the_change_from_nobody(room: Room) -> None:
    room.keys.revoke("robot")
    assert (await room.toy.auth.authenticate(room.other_key, "a")).user_id == "other"
    assert await room.ended() == {"key"}


async def test_only_the_credentials_used_last_count(room: Room) -> None:
    room.toy.doors.open.set()
    for name, peer in room.peers.items():
        if name != "anonymous":
            await peer.receive()
    await room.peers["key"].result("authenticate", auth_token=room.other_key)
    room.keys.revoke("robot")
    assert await room.ended() == set()
    room.keys.revoke("other")
    assert await room.ended() == {"key", "other_key"}


async def test_after_its_deletion_the_secret_is_made_again(room: Room) -> None:
    path = room.toy.state_dir / "secret"
    old = path.read_bytes()
    path.unlink()
    await room.toy.files.look()
    assert Secret.load(path).value != old.strip()
    with pytest.raises(AuthenticationFailed) as caught:
        await room.toy.auth.authenticate(room.token, "a")
    assert caught.value.reason == "token_invalid"
    assert (await room.toy.auth.authenticate(room.toy.token(), "a")).user_id == "someone"


async def test_an_unusable_secret_makes_no_token_valid_until_it_is_replaced(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    write_secret(room.toy, "short-secret")
    for _ in range(3):
        await room.toy.files.look()
        with pytest.raises(AuthenticationFailed) as caught:
            await room.toy.auth.authenticate(room.token, "a")
        assert caught.value.reason == "no_secret"
    assert [each.message for each in caplog.records] == [
        "no token is valid: secret is unusable (The agent's secret is too short.)"
    ]
    assert (await room.toy.auth.authenticate(room.key, "a")).user_id == "robot"
    write_secret(room.toy, SECRET)
    await room.toy.files.look()
    assert (await room.toy.auth.authenticate(room.toy.token(), "a")).user_id == "someone"


async def test_expiry_alone_ends_no_connection(toy: Toy) -> None:
    keys = ApiKeys(toy.state_dir / "api-keys.json", toy.clock)
    key = keys.create("robot", Role.OPERATOR, expires_at=toy.clock.now() + timedelta(seconds=60))
    async with toy.peer() as peer:
        await peer.result("authenticate", auth_token=key)
        await toy.files.look()
        toy.clock.jump(61)
        keys.create("third", Role.VIEWER)
        await toy.files.look()
        assert (await peer.error("echo", text="x"))["data"]["reason"] == "token_expired"
        assert not peer.ended.is_set()


def test_what_begins_on_revoked_credentials_does_not_begin() -> None:
    live = LiveAccess()
    with pytest.raises(AuthenticationFailed), live.hold(lambda: False, lambda: None):
        pass
    assert len(live) == 0


async def test_the_end_is_called_once() -> None:
    live, current, ends = LiveAccess(), True, []
    with live.hold(lambda: current, lambda: ends.append(1)):
        await live.recheck()
        assert ends == []
        current = False
        await live.recheck()
        await live.recheck()
    assert ends == [1]
    assert len(live) == 0


async def test_a_credential_that_cannot_be_checked_ends_and_the_others_are_checked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> bool:
        if live_now:
            return True
        raise OverflowError

    live, live_now, ends = LiveAccess(), True, []
    with (
        live.hold(lambda: True, lambda: ends.append("good")),
        live.hold(broken, lambda: ends.append("broken")),
        live.hold(lambda: live_now, lambda: ends.append("revoked")),
    ):
        live_now = False
        await live.recheck()
        assert sorted(ends) == ["broken", "revoked"]
        assert len(live) == 1
    assert [each.message for each in caplog.records] == [
        "a credential could not be checked: what runs on it ends"
    ]


async def test_others_get_turns_while_many_connections_are_ended() -> None:
    live, order = LiveAccess(), list[str]()
    is_current = True

    async def other() -> None:
        while True:
            order.append("other")
            await anyio.lowlevel.checkpoint()

    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(live.hold(lambda: is_current, lambda: order.append("end")))
        is_current = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await live.recheck()
            tasks.cancel_scope.cancel()
    assert order.count("end") == 100
    assert max(len(ends) for ends in "".join(each[0] for each in order).split("o")) <= 16


async def test_what_cannot_be_ended_does_not_spare_the_others(caplog: pytest.LogCaptureFixture) -> None:
    live, ended = LiveAccess(), list[str]()
    current = True

    def cannot_end() -> None:
        ended.append("tried")
        raise RuntimeError("the connection is in an odd state")

    with ExitStack() as held:
        for end in (cannot_end, lambda: ended.append("ended"), cannot_end):
            held.enter_context(live.hold(lambda: current, end))
        current = False
        await live.recheck()
        assert sorted(ended) == ["ended", "tried", "tried"]
        assert len(live) == 0
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 2
