"""The search for secrets finds what it looks for."""

import logging
import subprocess

import anyio
import pytest
from websockets.asyncio.client import connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from tests.canary import CANARY, SECRET, SECRET_IN_LOG, ArgumentWatch, ReceivedWatch, SecretWatch, secret_in
from tests.toy_server import Serve, Toy, call, serve, toy, url

__all__ = ("serve", "toy")


@pytest.fixture
def secrets(toy: Toy) -> list[str]:
    keys = ApiKeys(toy.state_dir / "api-keys.json", toy.clock)
    return [f"{CANARY}-1", keys.create("robot", Role.VIEWER), toy.token()]


def test_every_kind_is_found_wherever_it_stands(secrets: list[str], toy: Toy) -> None:
    link = toy.links.of(toy.tokens.verify(secrets[2]))("snapshots", "a.jpg")
    for secret in secrets:
        assert SECRET.search(f'{{"a": "{secret}"}}')
        assert SECRET_IN_LOG.search(f"x={secret}&")
    assert SECRET_IN_LOG.search(link)
    assert not SECRET.search(link), "clients are sent links"
    assert not SECRET_IN_LOG.search("no API key is valid: api-keys.json is unusable (ck_, eyJ, sig=)")


def test_a_traceback_is_searched_too(secrets: list[str]) -> None:
    logger, watch = logging.getLogger("tests.canary"), SecretWatch()
    logger.propagate = False
    logger.addHandler(watch)
    try:
        raise ValueError(secrets[1])
    except ValueError:
        logger.exception("no secret here")
    finally:
        logger.removeHandler(watch)
        logger.propagate = True
    assert len(watch.found) == 1


def test_a_created_key_is_the_only_one_that_is_sent(secrets: list[str]) -> None:
    assert not secret_in(f'{{"id": "0", "key": "{secrets[1]}", "role": "viewer"}}')
    assert secret_in(f'{{"id": "{secrets[1]}", "key": "{secrets[1]}"}}')
    assert secret_in(f'{{"key": "{secrets[2]}"}}')


async def test_what_any_client_receives_is_searched(
    serve: Serve, secrets: list[str], watches: tuple[ReceivedWatch, ArgumentWatch]
) -> None:
    async with serve() as server, connect(url(server)) as client:
        await call(client, "authenticate", auth_token=secrets[2])
        await call(client, "echo", text=f"x{secrets[1]}")
    assert [secrets[1] in each for each in watches[0].found] == [True]
    watches[0].found.clear()


async def test_the_arguments_of_every_program_are_searched(
    secrets: list[str], watches: tuple[ReceivedWatch, ArgumentWatch]
) -> None:
    await anyio.run_process(["true", f"--token={secrets[1]}"])
    subprocess.run(["true", "no secret"], check=True)
    assert [secrets[1] in each for each in watches[1].found] == [True]
    watches[1].found.clear()
