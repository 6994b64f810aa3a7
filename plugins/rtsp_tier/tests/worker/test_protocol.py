"""The worker's process: what it answers without a stream, what ends it, and what it must not print or load."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import rtsp_tier
from agent_core.plugin.processes import run
from agent_core.testing.mediamtx import free_ports
from rtsp_tier.messages import Configure, Failed, OpenReader, Ping, ReaderEnded, Reason, encode

LIMIT_S = 40.0


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Address of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/silent"


WORKER = (sys.executable, "-m", "rtsp_tier.worker")


async def test_it_answers_while_a_stream_does_not_and_ends_with_its_input(
    worker: Any, silent_url: str
) -> None:
    await worker.send(OpenReader(1, silent_url))
    await worker.ask_once(silent_url)
    assert (await worker.ping()).rss_bytes > 10 << 20
    await worker.close_input()
    with anyio.fail_after(LIMIT_S):
        assert await worker.process.wait() == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://127.0.0.1/",
        "tcp://127.0.0.1:1",
        "rtsp:/x",
        "",
        "concat:a|b",
        "rtsp://h/ x",
    ],
)
async def test_other_addresses_are_refused_without_opening_anything(worker: Any, url: str) -> None:
    failed = await worker.take_once(url)
    assert isinstance(failed, Failed)
    assert failed.reason is Reason.UNSUPPORTED_STREAM
    ended = await worker.open(1, url)
    assert isinstance(ended, ReaderEnded)
    assert ended.reason is Reason.UNSUPPORTED_STREAM


async def test_a_server_that_does_not_run_is_reported(worker: Any) -> None:
    closed_port, _ = free_ports()
    for url in (f"rtsp://127.0.0.1:{closed_port}/x", "rtsp://host.invalid/x"):
        failed = await worker.take_once(url)
        assert isinstance(failed, Failed)
        assert failed.reason is Reason.MEDIA_SERVER_DOWN


async def test_a_request_to_a_reader_that_is_not_open_fails(worker: Any) -> None:
    failed = await worker.take(99)
    assert (failed.reason, failed.details) == (Reason.NO_READER, "The reader is not open.")


async def test_credentials_that_the_library_would_cut_are_refused(worker: Any) -> None:
    failed = await worker.take_once("rtsp://127.0.0.1:1/x", user="u", password="p" * 200)
    assert failed.reason is Reason.CREDENTIALS


async def test_a_request_is_answered_at_its_deadline(worker: Any, silent_url: str) -> None:
    before_s = time.monotonic()
    failed = await worker.take_once(silent_url, limit_s=0.3)
    assert failed.reason is Reason.TIMED_OUT
    assert time.monotonic() >= before_s + 0.3
    await worker.send(OpenReader(1, silent_url))
    assert (await worker.take(1, limit_s=0.2)).reason is Reason.TIMED_OUT
    assert (await worker.take(1, limit_s=-5.0)).reason is Reason.TIMED_OUT


async def test_too_many_openings_at_once_are_refused(worker: Any, silent_url: str) -> None:
    numbers = [await worker.ask_once(silent_url) for _ in range(17)]
    assert (await worker.answer(numbers[-1])).reason is Reason.BUSY


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "The header of a message has"),
        (encode(Ping(1)), "Configure is not the first message."),
        (b"\0\0\0\x02\0\0\0\0{}", "The class of a message is unknown here."),
    ],
)
def test_input_that_is_no_message_ends_it_with_a_line(given: bytes, words: str) -> None:
    done = subprocess.run(WORKER, input=given, capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_an_output_that_is_closed_ends_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    given = encode(Configure(0.5, 1.0, 1.0, 1 << 20, 90)) + encode(Ping(1))
    done = subprocess.run(
        WORKER, input=given, stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False
    )
    os.close(writing)
    assert done.returncode == 1
    assert b"BrokenPipeError" in done.stderr


async def test_what_a_library_prints_is_no_message() -> None:
    """Libraries in C write to descriptor 1, whatever sys.stdout is."""
    code = (
        "import os, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'import' and arguments[0] == 'rtsp_tier.worker.program':\n"
        "        print('to Python', flush=True)\n"
        "        os.write(1, b'to C\\n')\n"
        "sys.addaudithook(hook)\n"
        "from rtsp_tier.worker.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = await run([sys.executable, "-c", code])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", "to Python\nto C\n")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def parent_modules() -> Iterator[str]:
    folder = Path(rtsp_tier.__path__[0])
    for path in sorted(folder.rglob("*.py")):
        words = path.relative_to(folder).with_suffix("").parts
        if words[0] != "worker":
            yield ".".join(("rtsp_tier", *(word for word in words if word != "__init__")))


def test_the_plugin_never_loads_the_decoder() -> None:
    names = list(parent_modules())
    assert "rtsp_tier.plugin" in names
    loaded = modules_after(f"import {', '.join(names)}")
    assert "agent_core" in loaded
    assert not {"av", "numpy"} & loaded


def test_the_worker_loads_nothing_of_the_agent() -> None:
    loaded = modules_after("import rtsp_tier.worker.program")
    assert "av" in loaded
    assert not {"agent_core", "pydantic", "anyio", "numpy"} & loaded
