"""`streams discover`, `add`, `remove` and `external` on an agent that a test drives."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_core.api.placeholders import contract_placeholder
from agent_core.auth.roles import Role
from agent_core.base.errors import Unsupported
from agent_core.plugin import RpcParams
from agent_core.rpc.table import Method

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.conftest import ToyAgent

URL = "rtsp://192.0.2.7/stream1"
STREAM = {
    "url": URL,
    "name": "Yard",
    "type": "generic_rtsp",
    "status": "ADDED",
    "online": True,
    "capabilities": {},
    "device": "camera100",
}
FOUND = {
    **STREAM,
    "url": "rtsp://192.0.2.8/",
    "name": "Gate\x1b[2J",
    "status": "DISCOVERED",
    "capabilities": {"needs_credentials": True},
}


class AnyParams(RpcParams, extra="allow"):
    pass


class Asked:
    """The four methods; keeps the parameters of each call."""

    def __init__(self, agent: "ToyAgent") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        answers: dict[str, Any] = {
            "add_external_stream": {"device": "camera100", "stream_url": URL},
            "remove_external_stream": {"stream_url": URL, "status": "REMOVED"},
            "get_external_streams": {"external_streams": [STREAM]},
            "discover_external_streams": {
                "discovered_streams": [FOUND],
                "errors": ["No host in 192.0.2.0/24."],
            },
        }
        for name, answer in answers.items():
            agent.table.add(self._method(name, answer))

    def _method(self, name: str, answer: object) -> Method:
        async def call(params: AnyParams, _caller: object) -> object:
            self.calls.append((name, params.model_dump()))
            return answer

        return Method(name, Role.VIEWER, "x", AnyParams, Any, call, errors=(Unsupported,))


@pytest.fixture
def asked(announced: "ToyAgent") -> Asked:
    return Asked(announced)


async def test_a_stream_is_added_with_a_password_from_a_file(
    asked: Asked, cli: "Cli", tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss wörd\r\nmore\n")
    ended = await cli("streams", "add", URL, "Yard", "--user", "admin", "--password-file", str(file))
    assert (ended.code, ended.text) == (0, "camera100\n")
    assert asked.calls == [
        (
            "add_external_stream",
            {"stream_url": URL, "stream_name": "Yard", "user": "admin", "password": "p@ss wörd"},
        )
    ]


async def test_a_stream_that_is_off_is_added_without_a_look(asked: Asked, cli: "Cli") -> None:
    ended = await cli("streams", "add", URL, "Yard", "--no-verify", "--type", "skydio")
    assert ended.code == 0
    assert asked.calls[0][1] == {
        "stream_url": URL,
        "stream_name": "Yard",
        "stream_type": "skydio",
        "verify": False,
    }


@pytest.mark.parametrize("command", [("add", "Yard"), ("remove",)])
async def test_no_password_stands_in_the_arguments(
    asked: Asked, cli: "Cli", command: tuple[str, ...]
) -> None:
    name, *rest = command
    ended = await cli("streams", name, "rtsp://admin:Tr0ub4dor@192.0.2.7/", *rest)
    assert ended.code == 2
    assert "Tr0ub4dor" not in ended.err
    assert "--password-file" in ended.lines[1]
    assert asked.calls == []


async def test_a_password_file_that_cannot_be_read_is_named_as_such(asked: Asked, cli: "Cli") -> None:
    ended = await cli("streams", "add", URL, "Yard", "--user", "a", "--password-file", "/nowhere/password")
    assert ended.code == 2
    for alone in (("--password-file", "/nowhere/password"), ("--user", "admin")):
        ended = await cli("streams", "add", URL, "Yard", *alone)
        assert ended.code == 2
    assert asked.calls == []


async def test_streams_are_listed_and_removed(asked: Asked, cli: "Cli") -> None:
    rows = [row.split() for row in (await cli("streams", "external")).text.splitlines()]
    assert rows == [
        ["ADDRESS", "NAME", "TYPE", "STATE", "CAMERA"],
        [URL, "Yard", "generic_rtsp", "added", "camera100"],
    ]
    ended = await cli("streams", "remove", URL)
    assert (ended.code, ended.text) == (0, f"Removed {URL}.\n")
    assert asked.calls[-1] == ("remove_external_stream", {"stream_url": URL})


async def test_a_search_lists_what_it_found_and_what_it_could_not_search(asked: Asked, cli: "Cli") -> None:
    ended = await cli("streams", "discover", "--cameras", "--rescan")
    assert ended.code == 0
    assert asked.calls[0][1] == {"generic_enabled": True, "force_rescan": True, "include_offline": False}
    assert "needs password" in ended.text
    assert "\x1b" not in ended.text
    assert ended.text.endswith("No host in 192.0.2.0/24.\n")
    assert (await cli("streams", "discover", "--json")).value["discovered_streams"][0]["name"] == FOUND[
        "name"
    ]


async def test_without_the_plugin_the_error_names_it(announced: "ToyAgent", cli: "Cli") -> None:
    row = ("get_external_streams", Role.VIEWER, "List.")
    announced.table.add(contract_placeholder(*row, plugin="external_discovery"))
    ended = await cli("streams", "external")
    assert ended.code == 1
    assert "external_discovery" in " ".join(ended.lines)
