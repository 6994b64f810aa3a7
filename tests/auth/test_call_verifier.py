"""Signed calls as the agent judges them: each refusal, its reason, and when its sender may get a reply."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.call_verifier import CallVerifier
from agent_core.auth.nonce_file import NonceFile
from agent_core.auth.nonces import UsedNonces
from agent_core.auth.roles import Principal, Role
from agent_core.auth.signed_calls import CallRefused, SignedCall, call_signature, reply_signature
from agent_core.auth.stored_keys import KeyKind
from agent_core.base.clock_sync import is_synchronised, read_clock
from agent_core.base.errors import StorageFailed
from agent_core.base.moments import rfc3339
from agent_core.testing import SimulatedClock

AGENT = "gate"


@dataclass
class Host:
    """Clock of the host that can be unsynchronised, and a state folder that can be gone."""

    is_synchronised: bool = True
    has_state: bool = True

    def require(self) -> None:
        if not self.has_state:
            raise StorageFailed("It is gone.", reason="state_missing")


class Desk:
    """Verifier with one key, and the client that has it."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.host, self.folder = SimulatedClock(), Host(), folder
        self.keys = ApiKeys(folder / "api-keys.json", self.clock)
        self.key, self.stored = self.keys.add(NewKey("console", Role.OPERATOR, KeyKind.MQTT))
        self.verifier = self.start()
        self._count = 0

    def start(self) -> CallVerifier:
        """Return the verifier of an agent that has just started."""
        nonces = UsedNonces(NonceFile(self.folder / "used-nonces", require=self.host.require), self.clock)
        return CallVerifier(
            self.keys,
            nonces,
            self.clock,
            catch_up=self.catch_up,
            is_synchronised=lambda: self.host.is_synchronised,
        )

    async def catch_up(self) -> None:
        self.keys.refresh()

    def call(
        self, method: str = "take_snapshot", *, key: str = "", issued_s: float = 0, **changes: Any
    ) -> SignedCall:
        """Return a call that is signed now; `changes` are made before."""
        self._count += 1
        issued_at = self.clock.now() + timedelta(seconds=issued_s)
        call = SignedCall(
            agent=AGENT,
            client="c1",
            key_id=self.stored.id,
            request={"jsonrpc": "2.0", "id": 1, "method": method},
            response_topic="camera-agent/replies/c1",
            correlation=b"\x00\xff",
            issued_at=rfc3339(issued_at),
            expires_at=rfc3339(issued_at + timedelta(seconds=20)),
            nonce=f"{self._count:032x}",
            signature="",
        )
        call = replace(call, **changes)
        return replace(call, signature=call_signature(key or self.key, call))

    async def verify(
        self, call: SignedCall, *, needs: Role | None = Role.VIEWER, trust_clock: bool = False
    ) -> Principal:
        found, _ = await self.verifier.verify(call, agent=AGENT, needs=needs, trust_clock=trust_clock)
        return found

    async def refused(self, call: SignedCall, *, needs: Role | None = Role.VIEWER) -> tuple[str, bool]:
        """Return the reason of a refusal, and if there may be a reply."""
        with pytest.raises(CallRefused) as caught:
            await self.verify(call, needs=needs)
        assert str(caught.value) == caught.value.error.details
        assert self.key not in str(caught.value) + repr(caught.value.signer)
        return caught.value.error.reason, caught.value.signer is not None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_signed_call_is_its_users(desk: Desk) -> None:
    call = desk.call()
    user, signer = await desk.verifier.verify(call, agent=AGENT, needs=Role.OPERATOR, trust_clock=False)
    assert (user.user_id, user.role, user.credential) == ("console", Role.OPERATOR, desk.stored.credential)
    assert not user.has_links
    right = reply_signature(
        desk.key, agent=AGENT, nonce=call.nonce, correlation=call.correlation, reply=b"{}"
    )
    assert signer.sign(b"{}") == right


CHANGES: dict[str, Callable[[SignedCall], SignedCall]] = {
    "client": lambda call: replace(call, client="c2"),
    "request": lambda call: replace(call, request={**call.request, "params": {"device": "camera1"}}),
    "id": lambda call: replace(call, request={**call.request, "id": 2}),
    "response_topic": lambda call: replace(call, response_topic="camera-agent/replies/c2"),
    "correlation": lambda call: replace(call, correlation=b"\x00\xfe"),
    "issued_at": lambda call: replace(call, issued_at=call.expires_at),
    "expires_at": lambda call: replace(call, expires_at=call.issued_at),
    "nonce": lambda call: replace(call, nonce="f" * 32),
    "signature": lambda call: replace(call, signature="0" * 64),
    "upper case": lambda call: replace(call, signature=call.signature.upper()),
    "no signature": lambda call: replace(call, signature=""),
    "odd signature": lambda call: replace(call, signature="é\ud800"),
    "unknown key": lambda call: replace(call, key_id="0" * 16),
    "odd key": lambda call: replace(call, key_id="\x00é" * 99),
    "no canonical form": lambda call: replace(call, request={"id": 2**60}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_its_key_has_not_signed_is_refused_without_a_reply(desk: Desk, change: str) -> None:
    reason, has_reply = await desk.refused(CHANGES[change](desk.call()))
    assert reason == ("call_malformed" if change == "no canonical form" else "signature_invalid")
    assert not has_reply


async def test_a_call_for_another_agent_is_refused(desk: Desk) -> None:
    assert await desk.refused(desk.call(agent="door")) == ("foreign_agent", False)
    moved = replace(desk.call(agent="door"), agent=AGENT)
    assert await desk.refused(moved) == ("signature_invalid", False)


async def test_a_key_of_another_kind_signs_nothing(desk: Desk) -> None:
    key, stored = desk.keys.add(NewKey("robot", Role.ADMIN))
    assert (await desk.refused(desk.call(key=key, key_id=stored.id)))[0] == "signature_invalid"


@pytest.mark.parametrize(
    ("issued_s", "ends_s", "reason"),
    [
        (-60, -40, "call_expired"),
        (6, 20, "call_from_future"),
        (0, 31, "call_lifetime"),
        (0, 0, "call_lifetime"),
    ],
)
async def test_the_proven_sender_of_an_untimely_call_gets_a_reply(
    desk: Desk, issued_s: float, ends_s: float, reason: str
) -> None:
    ends = rfc3339(desk.clock.now() + timedelta(seconds=ends_s))
    assert await desk.refused(desk.call(issued_s=issued_s, expires_at=ends)) == (reason, True)


@pytest.mark.parametrize(
    "nonce", ["", "short", "x" * 65, "with spaces in the nonce", "ü" * 20, "a" * 31 + "\n"]
)
async def test_a_malformed_nonce_is_refused(desk: Desk, nonce: str) -> None:
    assert await desk.refused(desk.call(nonce=nonce)) == ("call_malformed", True)


async def test_a_call_runs_once_and_its_repetition_gets_no_reply(desk: Desk) -> None:
    call = desk.call()
    await desk.verify(call)
    assert await desk.refused(call) == ("call_repeated", False)
    desk.verifier = desk.start()
    assert await desk.refused(call) == ("call_repeated", False)


async def test_a_clock_that_is_set_back_makes_no_call_new(desk: Desk) -> None:
    call = desk.call()
    await desk.verify(call)
    desk.clock.jump(3600)
    await desk.verify(desk.call())
    desk.clock.step_wall_clock(-3600)
    assert await desk.refused(call) == ("call_expired", True)
    desk.verifier = desk.start()
    assert (await desk.refused(call))[0] == "call_repeated"


@pytest.mark.parametrize(
    ("needs", "is_refused"),
    [(None, False), (Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True)],
)
async def test_an_unsynchronised_clock_refuses_control(
    desk: Desk, needs: Role | None, is_refused: bool
) -> None:
    desk.host.is_synchronised = False
    if is_refused:
        assert await desk.refused(desk.call(), needs=needs) == ("clock_unsynchronised", True)
    else:
        await desk.verify(desk.call(), needs=needs)
    if is_refused:
        with pytest.raises(CallRefused):
            await desk.verifier.verify(desk.call(), agent=AGENT, needs=needs)
    await desk.verify(desk.call(), needs=needs, trust_clock=True)
    desk.host.is_synchronised = True
    await desk.verify(desk.call(), needs=needs)


async def test_a_revoked_key_signs_nothing_from_then_on(desk: Desk) -> None:
    call = desk.call()
    ApiKeys(desk.folder / "api-keys.json", desk.clock).revoke("console")
    assert await desk.refused(call) == ("signature_invalid", False)


async def test_a_key_with_another_role_is_another_credential(desk: Desk) -> None:
    before = await desk.verify(desk.call())
    desk.keys.change_role("console", Role.VIEWER)
    after = await desk.verify(desk.call())
    assert after.role is Role.VIEWER
    assert not desk.keys.is_current(before.credential)
    assert desk.keys.is_current(after.credential)


async def test_a_key_that_has_expired_is_told_so(desk: Desk) -> None:
    end = desk.clock.now() + timedelta(seconds=90)
    key, stored = desk.keys.add(NewKey("cron", Role.VIEWER, KeyKind.MQTT, end))
    assert (await desk.verify(desk.call(key=key, key_id=stored.id))).expires_at == end
    desk.clock.jump(90)
    assert await desk.refused(desk.call(key=key, key_id=stored.id)) == ("api_key_expired", True)


async def test_nothing_runs_without_the_state_folder(desk: Desk) -> None:
    desk.host.has_state = False
    assert await desk.refused(desk.call()) == ("state_missing", True)


def test_the_kernel_tells_if_the_clock_is_synchronised() -> None:
    reading = read_clock()
    assert is_synchronised() == (reading is not None and reading.is_synchronised)
