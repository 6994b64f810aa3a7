"""Login links: each code gives one token, and nothing else."""

from pathlib import Path

import anyio
import httpx
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.login_codes import LOGIN_LIFETIME_S, LoginCodes
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AuthenticationFailed
from agent_core.client import AgentUnreachable, CallFailed, ConnectionLost
from agent_core.testing import RunningAgent, SimulatedClock, running_agent

#: Fewer than the requests of the tests that guess.
FAILURES = 5


def codes_of(agent: RunningAgent) -> LoginCodes:
    return LoginCodes(Secret.load(agent.folder / "state/secret"), SystemClock())


async def ask(agent: RunningAgent, code: object, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        return await http.post("/login", json={"code": code}, headers=headers)


async def test_a_code_gives_a_token_of_its_user_once() -> None:
    async with running_agent(config={"auth": {"token_lifetime_s": 600}}) as agent:
        code = codes_of(agent).create("make-run", Role.OPERATOR)
        answer = await ask(agent, code)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        login = answer.json()
        assert (login["user"], login["role"]) == ("make-run", "operator")
        async with agent.client(None) as client:
            known = await client.call("authenticate", auth_token=login["token"])
        assert (known["role"], known["expires_at"]) == ("operator", login["expires_at"])
        again = await ask(agent, code)
        assert (again.status_code, again.json()["reason"]) == (401, "login_code_invalid")


async def test_of_many_requests_at_once_one_gets_the_token() -> None:
    statuses = []
    async with running_agent() as agent, anyio.create_task_group() as tasks:
        code = codes_of(agent).create("u", Role.ADMIN)

        async def one() -> None:
            statuses.append((await ask(agent, code)).status_code)

        for _ in range(8):
            tasks.start_soon(one)
    assert sorted(statuses) == [200, *[401] * 7]


async def test_a_code_is_used_up_for_the_next_start_too(tmp_path: Path) -> None:
    async with running_agent(folder=tmp_path) as agent:
        code = codes_of(agent).create("u", Role.ADMIN)
        assert (await ask(agent, code)).status_code == 200
    async with running_agent(folder=tmp_path) as agent:
        assert (await ask(agent, code)).status_code == 401
    assert code not in (tmp_path / "state/revoked-tokens.json").read_text()


async def test_a_code_is_no_token_and_a_token_no_code(tmp_path: Path) -> None:
    async with running_agent(folder=tmp_path) as agent:
        code = codes_of(agent).create("u", Role.ADMIN)
        async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
            seen = await http.get("/metrics", headers={"authorization": f"Bearer {code}"})
            assert (seen.status_code, seen.json()["reason"]) == (401, "token_invalid")
        refused = await ask(agent, agent.token("admin"))
        assert (refused.status_code, refused.json()["reason"]) == (401, "login_code_invalid")


def test_a_code_ends() -> None:
    clock = SimulatedClock()
    codes = LoginCodes(Secret(b"kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7"), clock)
    code = codes.create("u", Role.VIEWER)
    clock.jump(LOGIN_LIFETIME_S - 1)
    assert codes.verify(code).user_id == "u"
    clock.jump(1)
    with pytest.raises(AuthenticationFailed) as caught:
        codes.verify(code)
    assert caught.value.reason == "login_code_invalid"


async def test_guesses_are_limited_by_address() -> None:
    async with running_agent(config={"auth": {"failures_per_minute": FAILURES}}) as agent:
        good = codes_of(agent).create("u", Role.VIEWER)
        guesses = [await ask(agent, good[:-4] + f"{number:04}") for number in range(FAILURES + 1)]
        assert {each.status_code for each in guesses[:FAILURES]} == {401}
        assert guesses[-1].status_code == 429
        assert guesses[-1].json()["reason"] == "too_many_failures"
        assert (await ask(agent, good)).status_code == 200, "an attacker locks nobody out"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_pages_of_other_origins_are_refused_and_use_up_nothing(site: str) -> None:
    async with running_agent() as agent:
        code = codes_of(agent).create("u", Role.VIEWER)
        refused = await ask(agent, code, **{"sec-fetch-site": site})
        assert (refused.status_code, refused.json()["reason"]) == (403, "cross_site")
        assert (await ask(agent, code)).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"code": "a"}', "text/plain", 415),
        (b'{"code": ' + b" " * 9000 + b'"a"}', "application/json", 413),
        (b'{"code": 5}', "application/json", 400),
        (b'{"code": ""}', "application/json", 400),
        (b'["a"]', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 8000, "application/json", 400),
    ],
)
async def test_other_bodies_are_refused(body: bytes, kind: str, status: int) -> None:
    async with running_agent() as agent:
        async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
            answer = await http.post("/login", content=body, headers={"content-type": kind})
            assert answer.status_code == status
            assert set(answer.json()) >= {"reason", "details", "suggestion"}
            assert (await http.get("/login")).status_code == 405


async def leave(agent: RunningAgent, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        return await http.delete("/login", headers=headers)


async def test_who_logs_out_takes_the_token_along() -> None:
    async with running_agent() as agent:
        token = (await ask(agent, codes_of(agent).create("u", Role.VIEWER))).json()["token"]
        own = {"authorization": f"Bearer {token}"}
        async with agent.client(None) as client:
            await client.call("authenticate", auth_token=token)
            refused = await leave(agent, **own, **{"sec-fetch-site": "same-site"})
            assert (refused.status_code, refused.json()["reason"]) == (403, "cross_site")
            assert await client.call("get_camera_list")
            assert (await leave(agent, **own)).status_code == 204
            with anyio.fail_after(30):
                while True:
                    try:
                        await client.call("get_camera_list")
                    except (CallFailed, ConnectionLost, AgentUnreachable):
                        break
                    await anyio.sleep(0.02)
        again = await leave(agent, **own)
        assert (again.status_code, again.json()["reason"]) == (401, "token_revoked")
        assert again.headers["www-authenticate"] == "Bearer"


async def test_only_a_token_logs_out() -> None:
    async with running_agent() as agent:
        key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("u", Role.VIEWER)
        assert (await leave(agent)).json()["reason"] == "missing_credentials"
        assert (await leave(agent, **{"x-api-key": key})).status_code == 401
        async with agent.client(None) as client:
            await client.call("authenticate", auth_token=key)
