"""Rules for every command: usage, imports, and the use of both outputs."""

import os
import re
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core import __version__
from agent_core.cli import main
from agent_core.cli.exits import ExitCode
from agent_core.cli.options import EXIT_CODES

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home
    from tests.conftest import ToyAgent

SLOW = ("pydantic", "uvicorn", "websockets", "httpx", "starlette", "PIL", "anyio")


@pytest.mark.parametrize(
    "arguments", [["version"], ["--version"], ["--help"], ["snapshot", "--help"], ["fleet", "call", "--help"]]
)
async def test_what_needs_no_agent_imports_nothing_slow(arguments: list[str]) -> None:
    code = f"""
import sys
from agent_core.__main__ import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code
print("IMPORTED", *[name for name in {SLOW!r} if name in sys.modules])
"""
    done = await anyio.run_process([sys.executable, "-c", code])
    assert done.stdout.decode().splitlines()[-1].split() == ["IMPORTED"]


async def test_version(cli: "Cli") -> None:
    assert (await cli("version")).text == f"camera-agent {__version__}\n"
    assert (await cli("version", "--json")).value["version"] == __version__
    assert (await cli("--json", "version")).value["name"] == "camera-agent"


async def test_help_names_every_command_and_every_exit_code(cli: "Cli") -> None:
    shown = (await cli("--help")).text
    for command in (
        "run check-config config cameras snapshot record recordings streams call events token plugins version".split()  # noqa: SIM905 - readable
    ):
        assert re.search(rf"^    {command}\b", shown, re.MULTILINE), command
    for code in ExitCode:
        assert code > 128 or f"\n  {int(code)}  " in shown
    assert EXIT_CODES in (await cli("plugins", "check", "--help")).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "frobnicate"),
        (["cameras", "--frobnicate"], "--frobnicate"),
        (["cameras", "--token", "abc"], "--token"),
        (["snapshot", "camera0"], "--output"),
        (["snapshot", "camera0", "-o", "a.jpg", "--quality", "101"], "from 1 to 100"),
        (["snapshot", "camera0", "-o", "a.jpg", "--format", "gif"], "gif"),
        (["snapshot", "camera0", "-o", "/dev/null"], "/dev/null"),
        (["snapshot", "camera0", "-o", "/nowhere/at/all.jpg"], "does not exist"),
        (["record"], "COMMAND"),
        (["record", "start"], "CAMERA"),
        (["record", "start", "camera0", "--duration", "0"], "from 1 to 86400"),
        (["record", "start", "camera0", "--duration", "1.5"], "from 1 to 86400"),
        (["record", "start", "camera0", "--format", "avi"], "avi"),
        (["record", "stop"], "CAMERA"),
        (["recordings", "--limit", "1001"], "from 1 to 1000"),
        (["recordings", "get", "camera0_x"], "--output"),
        (["recordings", "get", "camera0_x", "-o", "-"], "standard output"),
        (["recordings", "get", "camera0_x", "-o", "/dev/null"], "/dev/null"),
        (["recordings", "frobnicate"], "frobnicate"),
        (["call", "echo", "text"], "KEY=VALUE"),
        (["call", "echo", "=x"], "KEY=VALUE"),
        (["call", "echo", "text=1", "text=2"], "twice"),
        (["call", "authenticate", "auth_token=abc"], "command line"),
        (["token", "create"], "--role"),
        (["token", "create", "--role", "king"], "king"),
        (["token", "create", "--role", "admin", "--lifetime-s", "nan"], "nan"),
        (["cameras", "--url", "http://127.0.0.1:8002/"], "WebSocket URL"),
        (["cameras", "--url", "ws://127.0.0.1:99999999"], "WebSocket URL"),
        (["cameras", "--url", "ws://me:secret@127.0.0.1/ws"], "credentials"),
        (["cameras", "--token-file", "none"], "none cannot be read"),
        (["events", "--count", "0"], "from 1"),
    ],
)
async def test_wrong_usage_is_two_lines_and_code_2(cli: "Cli", arguments: list[str], said: str) -> None:
    ended = await cli(*arguments)
    what, _ = ended.lines
    assert said in what
    assert (ended.code, ended.out) == (2, b"")
    told = await cli(*arguments, "--json")
    assert (told.code, told.error["exit_code"], told.out) == (2, 2, b"")
    assert told.error["reason"]
    assert told.error["suggestion"]


async def test_a_picture_and_json_do_not_share_standard_output(cli: "Cli") -> None:
    ended = await cli("snapshot", "camera0", "-o", "-", "--json")
    assert (ended.code, ended.out) == (2, b"")
    assert "standard output" in ended.error["details"]


async def test_a_token_file_must_hold_one(cli: "Cli", home: "Home") -> None:
    file = home.path / "token"
    file.write_text("\n")
    ended = await cli("cameras", "--token-file", str(file))
    assert ended.code == 2
    assert "is empty" in ended.lines[0]


async def test_output_that_cannot_be_written_is_said(cli: "Cli") -> None:
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123 - a device, not a file
        ended = await cli("version", stdout=full)
    assert ended.code == 1
    assert "no space left" in ended.lines[0]


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "<&- >&-"])
@pytest.mark.parametrize("command", ["version", "version --json", "cameras"])
async def test_an_output_that_takes_nothing_is_said(
    announced: "ToyAgent", home: "Home", redirection: str, command: str
) -> None:
    shell = f"{sys.executable} -m agent_core {command} {redirection}"
    done = await anyio.run_process(
        ["sh", "-c", shell], check=False, env=home.environment({"PYTHONUNBUFFERED": "1"}), cwd=home.path
    )
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "The output could not be written: " in said
    assert len(said.splitlines()) == (1 if "--json" in command else 2)


async def test_errors_that_nothing_takes_do_not_go_to_the_output(home: "Home") -> None:
    for redirection in ("2>&-", "2>/dev/full", "<&- 2>&-"):
        shell = f"{sys.executable} -m agent_core frobnicate {redirection}"
        done = await anyio.run_process(
            ["sh", "-c", shell], check=False, env=home.environment(), cwd=home.path
        )
        assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be an account without a name")
async def test_an_account_without_a_home_is_told() -> None:
    code = """
import os, pwd
from agent_core.base.errors import ConfigError
from agent_core.config import config_files, load_config
os.setgid(54321); os.setuid(54321)
config_files(None)
load_config((), {"CAMERA_AGENT__STORAGE__STATE_DIR": "/nowhere"})
try:
    load_config()
except ConfigError as error:
    print(error.reason)
"""
    environment = {"PATH": os.environ["PATH"]}
    done = await anyio.run_process([sys.executable, "-c", code], check=False, env=environment)
    assert done.stdout == b"no_home\n", done.stderr


async def test_a_reader_that_has_gone_is_no_error(announced: "ToyAgent", cli: "Cli") -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = await cli("cameras", stdout=writing)
    os.close(writing)
    assert (ended.code, ended.err) == (141, "")


def test_a_mistake_in_process_is_reported_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "echo", "x"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("camera-agent: 'x' is not of the form KEY=VALUE.\nWhat to do: ")
