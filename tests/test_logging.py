"""What a log line says."""

import json
import logging
from collections.abc import Iterator

import anyio
import pytest

from agent_core import logging as agent_logging


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
