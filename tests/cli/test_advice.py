"""Next steps after an error, in terms of the command line."""

from typing import TYPE_CHECKING

import pytest

from agent_core.base.errors import AuthenticationFailed, InvalidParams
from agent_core.cli.advice import next_step
from agent_core.client import CallFailed
from agent_core.rpc.errors import CODES
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home
    from tests.conftest import ToyAgent

CAMERA_COMMANDS = [
    ["snapshot", "front", "-o", "a.jpg"],
    ["record", "start", "front"],
    ["record", "stop", "camera01"],
    ["recordings", "--device", "camera-1"],
    ["events", "--device", "Camera0"],
]


@pytest.mark.parametrize("arguments", CAMERA_COMMANDS)
async def test_a_wrong_camera_name_is_refused_without_an_agent(cli: "Cli", arguments: list[str]) -> None:
    ended = await cli(*arguments)
    what, todo = ended.lines
    assert ended.code == 2
    assert "is not a camera's name; a name looks like camera0" in what
    assert "`camera-agent cameras`" in todo


@pytest.mark.parametrize(
    ("arguments", "details", "step"),
    [
        (["call", "pin"], "'pin'", "Did you mean 'ping'?"),
        (["call", "take_snapshot", "devise=camera0"], "'devise'", "Did you mean 'device'?"),
        (["call", "take_snapshot"], "device is missing", "Send device."),
        (["call", "take_snapshot", "device=front"], "id of a camera, such as camera0", "--help"),
        (["call", "take_snapshot", "device=camera0", "quality=0"], "quality", "--help"),
        (["snapshot", "camera7", "-o", "a.jpg"], "camera7", "`camera-agent cameras`"),
        (["events", "camera.conected"], "'camera.conected'", "Did you mean 'camera.connected'"),
        (
            ["recordings", "get", "camera0_x", "-o", "a.mp4"],
            "no recording 'camera0_x'",
            "`camera-agent recordings`",
        ),
        (
            ["recordings", "get", "../../etc/passwd", "-o", "a.mp4"],
            "../../etc/passwd",
            "`camera-agent recordings`",
        ),
    ],
)
async def test_what_the_agent_refuses_is_said_without_its_inner_words(
    home: "Home", cli: "Cli", arguments: list[str], details: str, step: str
) -> None:
    storage = {"state_dir": home.state_dir, "runtime_dir": home.path / "run"}
    async with running_agent(config={"storage": storage}):
        ended = await cli(*arguments)
        told = await cli(*arguments, "--json")
    what, todo = ended.lines
    assert (ended.code, told.code) == (1, 1)
    assert details in what
    assert step in todo
    assert step in told.error["suggestion"]
    for word in ("method", "pattern", "^camera"):
        assert word not in ended.err.lower()


def failed(code: int, **data: object) -> CallFailed:
    return CallFailed(
        code, "message", {"details": "It failed.", "suggestion": "Call list_snapshots.", **data}
    )


def test_calls_become_commands() -> None:
    assert next_step(failed(-32010)) == "Run `camera-agent call list_snapshots`."
    cameras = failed(-32010, suggestion="Wait, then call get_camera_list for them.")
    assert next_step(cameras) == "Wait, then run `camera-agent cameras` for them."


def test_credentials_are_given_by_options() -> None:
    for error in (failed(-32001), AuthenticationFailed("No.")):
        assert "--token-file" in next_step(error)
        assert "authenticate" not in next_step(error)
    assert next_step(AuthenticationFailed("No.", suggestion="Be root.")) == "Be root."
    assert "token create --role admin" in next_step(failed(-32002, required_role="admin"))


def test_a_wait_is_said_in_seconds() -> None:
    assert next_step(failed(-32040, retry_after_ms=2600)) == "Wait 3 s, then try again."
    assert next_step(failed(-32040, retry_after_ms=0)) == "Wait 1 s, then try again."


def test_a_hint_is_said_once() -> None:
    said = next_step(InvalidParams("limit: too much.", param="limit", rule="x", hint="too much"))
    assert "too much" not in said
    said = next_step(InvalidParams("The name ends in .x.", param="filename", rule="suffix", hint="front.jpg"))
    assert said.startswith("front.jpg. ")


def test_the_codes_are_those_of_the_wire() -> None:
    by_code = {each.code: kind.__name__ for kind, each in CODES.items()}
    assert {code: by_code[code] for code in (-32601, -32602, -32001, -32002, -32040)} == {
        -32601: "MethodNotFound",
        -32602: "InvalidParams",
        -32001: "AuthenticationFailed",
        -32002: "PermissionDenied",
        -32040: "RateLimited",
    }


async def test_the_next_step_of_a_programs_error_stays_in_its_data(announced: "ToyAgent", cli: "Cli") -> None:
    told = (await cli("call", "pong", "--json")).error
    assert "rpc.discover" in told["data"]["suggestion"]
    assert "camera-agent call rpc.discover" in told["suggestion"]


async def test_tls_where_there_is_none_is_said_in_words(announced: "ToyAgent", cli: "Cli") -> None:
    ended = await cli("cameras", "--url", announced.url.replace("ws://", "wss://"))
    what, todo = ended.lines
    assert ended.code == 3
    assert "does not speak TLS" in what
    assert "Use ws://" in todo
