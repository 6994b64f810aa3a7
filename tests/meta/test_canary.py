"""The search for secrets finds what it looks for."""

import logging

import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from tests.canary import CANARY, SECRET, SECRET_IN_LOG, SecretWatch
from tests.toy_server import Toy, toy

__all__ = ("toy",)


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
