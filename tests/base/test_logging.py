"""Contents of a log line."""

import json
import logging
from collections.abc import Iterator

import anyio
import httpx
import pytest

from agent_core.base import logging as agent_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("camera_agent").level)
    yield
    root.handlers[:], _, _ = before
    root.setLevel(before[1])
    logging.getLogger("camera_agent").setLevel(before[2])


async def test_fields_follow_the_task_that_set_them(capsys: pytest.CaptureFixture[str]) -> None:
    agent_logging.configure("info", "text")
    log = logging.getLogger("camera_agent.test")

    async def work(request_id: str) -> None:
        with agent_logging.fields(request_id=request_id):
            await anyio.wait_all_tasks_blocked()
            log.info("done", extra={"fields": {"camera": "camera0"}})

    async with anyio.create_task_group() as tg:
        tg.start_soon(work, "r1")
        tg.start_soon(work, "r2")
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition("done ")[2] for line in lines) == [
        "request_id=r1 camera=camera0",
        "request_id=r2 camera=camera0",
    ]


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    agent_logging.configure("info", "json")
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("camera_agent.test").exception("it failed: %s", "ü")
    entry = json.loads(capsys.readouterr().err)
    assert entry["message"] == "it failed: ü"
    assert entry["level"] == "error"
    assert "ValueError: no" in entry["exception"]


def test_the_level_changes_at_run_time(capsys: pytest.CaptureFixture[str]) -> None:
    agent_logging.configure("warning", "text")
    log = logging.getLogger("camera_agent.test")
    log.info("unheard")
    agent_logging.set_level("info")
    log.info("heard")
    assert "unheard" not in (said := capsys.readouterr().err)
    assert "heard" in said


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_addresses_of_requests_are_never_logged(capsys: pytest.CaptureFixture[str], level: str) -> None:
    agent_logging.configure(level, "text")
    answer = httpx.MockTransport(lambda _request: httpx.Response(204))
    with httpx.Client(transport=answer) as client:
        client.delete("http://127.0.0.1/camera0/whep/name-of-a-session")
    logging.getLogger("httpcore.http11").debug("send_request_headers %s", "name-of-a-session")
    assert "name-of-a-session" not in capsys.readouterr().err


def test_problems_of_requests_are_logged_no_lower_than_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    agent_logging.configure("error", "text")
    logging.getLogger("httpx").warning("unheard")
    agent_logging.set_level("warning")
    logging.getLogger("httpx").warning("heard")
    assert "unheard" not in (said := capsys.readouterr().err)
    assert "heard" in said


#: Ends a line, moves a cursor, sets a title, turns text around; one of them is no UTF-8.
HOSTILE = "Cam\n2026-11-29T00:00:00.000Z ERROR   camera_agent.rpc: forged\r\x1b[31m\x1b]0;t\x07\x85\x9b\u2028\u2029\u202e\u2066\x7f\udcff"
FORBIDDEN = set(HOSTILE) - {"\n"} - {char for char in HOSTILE if char.isprintable()}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("place", ["message", "field", "exception"])
def test_no_words_from_outside_make_a_line_or_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], form: str, place: str
) -> None:
    agent_logging.configure("info", form)
    log = logging.getLogger("camera_agent.test")
    if place == "message":
        log.info("%s: connected", HOSTILE)
    elif place == "field":
        log.info("connected", extra={"fields": {"name": HOSTILE}})
    else:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("it failed")
    said = capsys.readouterr().err
    assert not FORBIDDEN & set(said)
    records = [line for line in said.splitlines() if line.startswith(("2", "{"))]
    assert len(records) == 1
    assert "forged" in said
    if form == "json":
        entry = json.loads(said)
        assert any(HOSTILE in value.replace("\n  ", "\n") for value in entry.values())


def test_letters_of_all_scripts_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    agent_logging.configure("info", "text")
    logging.getLogger("camera_agent.test").info("%s", "Küche カメラ שלום \\n")
    assert "Küche カメラ שלום \\n" in capsys.readouterr().err
