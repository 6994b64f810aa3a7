"""Login codes and the desk that exchanges them, without a server."""

from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.files import CredentialFiles
from agent_core.auth.limits import FailureThrottle
from agent_core.auth.live import LiveAccess
from agent_core.auth.login_codes import LOGIN_LIFETIME_S, LoginCodes, LoginDesk
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.secret import SecretFile
from agent_core.auth.tokens import TokenAuthority
from agent_core.auth.view_links import ViewLinks
from agent_core.base.errors import AuthenticationFailed, RateLimited, StateCorrupt
from agent_core.testing import SimulatedClock

LIFETIME_S = 600.0
FAILURES = 3
HERE = "10.0.0.1"


class Office:
    """A desk with its files and a clock that a test moves."""

    def __init__(self, folder: Path, clock: SimulatedClock) -> None:
        self.clock = clock
        secret = SecretFile(folder / "secret")
        secret.ensure()
        self.revoked = RevokedTokens(folder / "revoked-tokens.json", clock)
        self.tokens = TokenAuthority(secret, clock, self.revoked)
        self.codes = LoginCodes(secret, clock, self.revoked)
        keys, views = ApiKeys(folder / "api-keys.json", clock), ViewLinks(folder / "view-links.json", clock)
        files = CredentialFiles(secret, keys, self.revoked, views, live=LiveAccess(), clock=clock)
        files.read()
        self.desk = LoginDesk(
            self.codes,
            self.tokens,
            self.revoked,
            throttle=FailureThrottle(FAILURES, clock),
            files=files,
            lifetime_s=LIFETIME_S,
            clock=clock,
        )


@pytest.fixture
def office(tmp_path: Path, clock: SimulatedClock) -> Office:
    return Office(tmp_path, clock)


async def refused(office: Office, code: str, address: str = HERE) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        await office.desk.redeem(code, address)
    return caught.value.reason


async def test_a_login_has_the_token_of_the_codes_user_and_its_end(office: Office) -> None:
    login = await office.desk.redeem(office.codes.create("olga", Role.OPERATOR), HERE)
    assert login.token not in repr(login), "logs and tracebacks show the form of values"
    assert (login.user, login.role) == ("olga", Role.OPERATOR)
    claims = office.tokens.examine(login.token)[0]
    assert (claims.user_id, claims.role, claims.expires_at) == ("olga", Role.OPERATOR, login.expires_at)
    assert login.expires_at - office.clock.now() == timedelta(seconds=LIFETIME_S)
    office.desk.configure(60)
    later = await office.desk.redeem(office.codes.create("olga", Role.OPERATOR), HERE)
    assert later.expires_at - office.clock.now() == timedelta(seconds=60)


async def test_a_used_code_is_refused_here_and_by_a_later_process(office: Office, tmp_path: Path) -> None:
    code = office.codes.create("olga", Role.VIEWER)
    await office.desk.redeem(code, HERE)
    end = office.clock.now() + timedelta(seconds=LOGIN_LIFETIME_S)
    assert f"{end:%Y-%m-%dT%H:%M}" in office.revoked.path.read_text(), "so that it is forgotten some day"
    assert await refused(office, code) == "login_code_invalid"
    assert await refused(Office(tmp_path, office.clock), code) == "login_code_invalid"


async def test_of_two_at_once_one_gets_the_token(office: Office) -> None:
    code, given = office.codes.create("olga", Role.VIEWER), []

    async def ask() -> None:
        try:
            given.append((await office.desk.redeem(code, HERE)).user)
        except AuthenticationFailed:
            given.append("")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert sorted(given) == ["", "olga"]


async def test_a_code_whose_use_cannot_be_stored_is_used_up(office: Office) -> None:
    code, file = office.codes.create("olga", Role.VIEWER), office.revoked.path
    before = office.codes.create("before", Role.VIEWER)
    await office.desk.redeem(before, HERE)
    good = file.read_bytes()
    other = office.codes.create("other", Role.VIEWER)
    file.write_text("{")
    with pytest.raises((AuthenticationFailed, StateCorrupt)):
        await office.desk.redeem(code, HERE)
    file.write_bytes(good)
    assert (await office.desk.redeem(other, HERE)).user == "other"


async def test_codes_end_and_their_uses_are_remembered_an_hour_more(office: Office) -> None:
    code = office.codes.create("olga", Role.VIEWER)
    await office.desk.redeem(code, HERE)
    late = office.codes.create("olga", Role.VIEWER)
    office.clock.jump(LOGIN_LIFETIME_S)
    assert await refused(office, late) == "login_code_invalid"
    for after_s, count in ((3599, 2), (1, 2)):
        office.clock.jump(after_s)
        await office.desk.redeem(office.codes.create("olga", Role.VIEWER), HERE)
        assert len(office.desk._used) == count
        office.clock.jump(0)


async def test_guesses_are_counted_by_address(office: Office) -> None:
    for _ in range(FAILURES):
        assert await refused(office, "guess") == "login_code_invalid"
    with pytest.raises(RateLimited):
        await office.desk.redeem("guess", HERE)
    assert await refused(office, "guess", "10.0.0.2") == "login_code_invalid"
    assert (await office.desk.redeem(office.codes.create("u", Role.VIEWER), HERE)).user == "u"


def test_a_code_is_no_token_and_a_token_no_code(office: Office) -> None:
    with pytest.raises(AuthenticationFailed):
        office.tokens.verify(office.codes.create("u", Role.ADMIN))
    with pytest.raises(AuthenticationFailed) as caught:
        office.codes.verify(office.tokens.create("u", Role.ADMIN, 60))
    assert caught.value.reason == "login_code_invalid"


def test_without_a_secret_that_is_the_reason(tmp_path: Path, clock: SimulatedClock) -> None:
    code = Office(tmp_path / "a", clock).codes.create("u", Role.VIEWER)
    codes = LoginCodes(SecretFile(tmp_path / "none/secret"), clock)
    with pytest.raises(AuthenticationFailed) as caught:
        codes.verify(code)
    assert caught.value.reason == "no_secret"


async def test_a_token_is_ended_and_no_other(office: Office) -> None:
    token, other = (office.tokens.create("olga", Role.VIEWER, 60) for _ in range(2))
    await office.desk.end(token, HERE)
    end = office.clock.now() + timedelta(seconds=60)
    assert f"{end:%Y-%m-%dT%H:%M:%S}" in office.revoked.path.read_text(), "so that it is forgotten some day"
    office.revoked.refresh()
    with pytest.raises(AuthenticationFailed) as caught:
        office.tokens.verify(token)
    assert caught.value.reason == "token_revoked"
    assert office.tokens.verify(other).user_id == "olga"


async def test_guessed_ends_are_counted_by_address(office: Office) -> None:
    for _ in range(FAILURES):
        with pytest.raises(AuthenticationFailed):
            await office.desk.end("ck_guess", HERE)
    with pytest.raises(RateLimited):
        await office.desk.end("ck_guess", HERE)
    assert not office.revoked.path.exists()
