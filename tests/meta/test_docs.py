"""Documents are true: tables are generated, links resolve, examples run."""

import argparse
import ast
import asyncio
import json
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from agent_core import plugin as api
from agent_core.base import errors
from agent_core.cli.main import _whole_parser
from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg, frames, jpeg, rtsp
from agent_core.plugin.frames import producer as frame_producer
from agent_core.plugin.frames import server as frame_server
from agent_core.rpc.errors import CODES, INTERNAL_ERROR
from agent_core.rpc.topics import ALIASES, CORE_TOPICS
from agent_core.testing import FakeAgent, running_agent
from agent_core.testing.scripted_producer import a_jpeg
from agent_core.testing.waiting import eventually
from tests.media.files import half_second_parts

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".tools", ".cache", ".pytest_cache", "build", "dist"} & set(path.relative_to(ROOT).parts)
)
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs/api.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
#: What is raised only where no client is: while the agent starts, loads its plugins, or as the root of the tree.
BEFORE_THE_WIRE = {errors.AgentError, errors.ConfigError, errors.StartFailed, errors.PluginError}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def generated(script: str, function: str) -> list[str]:
    lines: list[str] = runpy.run_path(str(ROOT / "scripts" / script))[function]()
    return lines


def test_the_tables_of_the_wire_are_those_of_the_types() -> None:
    _, _, tables = API.partition("<!-- From here to the end: scripts/api-tables. -->\n\n")
    assert tables.splitlines() == generated("api-tables", "tables"), "run scripts/api-tables"


def test_the_table_of_settings_is_that_of_the_models() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `(?!plugins\.)[a-z_]+\.[a-z_]+` \|.*", text, re.MULTILINE)
    assert rows == generated("config-table", "rows"), "run scripts/config-table"


@pytest.mark.parametrize("name", ["mqtt_bridge"])
def test_the_table_of_a_plugins_settings_is_that_of_its_models(name: str) -> None:
    text = (ROOT / "plugins" / name / "README.md").read_text().partition("## Settings")[2]
    rows = re.findall(r"^\| `[a-z_]+(?:\.[a-z_]+)?` \|.*", text, re.MULTILINE)
    made: list[str] = runpy.run_path(str(ROOT / "scripts/config-table"))["plugin_rows"](name)
    assert rows == made, f"run scripts/config-table {name}"


def test_the_architecture_names_every_package_of_the_core_in_its_layer() -> None:
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer.split(" | ") for layer in contract["layers"]]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", ARCHITECTURE, re.MULTILINE)
    assert rows == [(str(number), name) for number, layer in enumerate(layers, 1) for name in layer]
    packages = {each.name for each in (ROOT / "agent_core").iterdir() if (each / "__init__.py").exists()}
    assert {name for _, name in rows} == packages | {"controller"}


def test_what_the_architecture_names_exists() -> None:
    text = re.sub(r"^```.*?^```", "", ARCHITECTURE, flags=re.DOTALL | re.MULTILINE)
    paths = set(re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_]+)+(?:\.py)?)`", text))
    assert "recordings/store.py" in paths
    assert [each for each in paths if not (ROOT / "agent_core" / each).exists()] == []
    (drawing,) = blocks(ARCHITECTURE, "mermaid")
    drawn = re.findall(r"\[\"(\w+): ", drawing.partition("subgraph plugins")[0].partition("subgraph core")[2])
    assert len(drawn) > 8
    assert {name for name in drawn if f"| `{name}` |" not in ARCHITECTURE} == set()


def test_every_document_is_listed_for_its_readers() -> None:
    listed = set(re.findall(r"\]\(([^)#]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    documents = {(ROOT / "docs" / each).resolve() for each in listed}
    assert set(DOCUMENTS) - documents == {ROOT / "docs/README.md"}


def error_classes() -> list[type[errors.AgentError]]:
    return [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", error_classes())
def test_an_error_has_a_code_if_a_client_can_meet_it(kind: type[errors.AgentError]) -> None:
    assert any(each in CODES for each in kind.__mro__) != (kind in BEFORE_THE_WIRE)


@pytest.mark.parametrize("code", [*CODES.values(), INTERNAL_ERROR], ids=lambda code: str(code.code))
def test_a_code_is_documented_with_its_message(code: Any) -> None:
    assert f"| {code.code} | {code.message} |" in API


def test_no_code_is_documented_that_does_not_exist() -> None:
    documented = {int(code) for code in re.findall(r"-32\d{3}", API)}
    assert documented == {each.code for each in (*CODES.values(), INTERNAL_ERROR)}


@pytest.mark.parametrize("topic", [*(topic.name for topic in CORE_TOPICS), *(name for name, _ in ALIASES)])
def test_a_topic_is_documented(topic: str) -> None:
    assert re.search(rf"^\|.*`{re.escape(topic)}`.*\|$", API, re.MULTILINE)


def commands(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[str]:
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if prefix and not any(action.required for action in below):
        yield prefix.strip()
    for action in below:
        for name, child in action.choices.items():
            yield from commands(child, f"{prefix} {name}")


def test_every_command_is_documented_and_no_other() -> None:
    documented = re.findall(
        r"^\| `([a-z -]+?)(?: [A-Z\[-][^`]*)?` \|", (ROOT / "docs/cli.md").read_text(), re.MULTILINE
    )
    found = sorted(commands(_whole_parser()))
    assert sorted(documented) == found, (
        "if the code is newer than the virtual environment: make .venv/.installed"
    )


def anchors(text: str) -> set[str]:
    headings = re.findall(
        r"^#+ (.*)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", names(DOCUMENTS))
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    links = re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", document.read_text())
    for link in links:
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("name", names(DOCUMENTS))
def test_python_and_toml_blocks_can_be_read(name: str) -> None:
    text = (ROOT / name).read_text()
    for block in blocks(text, "python"):
        compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for block in blocks(text, "toml"):
        tomllib.loads(block)


@pytest.fixture
def made_by_make_run() -> dict[str, Any]:
    return tomllib.loads((ROOT / "examples/make-run.toml").read_text())


async def test_the_readmes_python_example(
    made_by_make_run: dict[str, Any], tmp_path: Path, observe: Callable[[str], None]
) -> None:
    (example,) = blocks(README, "python")
    assert "ws://127.0.0.1:8002/ws" in example
    async with running_agent(config=made_by_make_run, observe=observe) as agent:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/token").write_text(agent.token("operator") + "\n")
        program = example.replace("ws://127.0.0.1:8002/ws", agent.url)
        with anyio.fail_after(40):
            done = await anyio.run_process([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split()[-2:] == ["ms", "old"]
    assert (tmp_path / "b.jpg").read_bytes().startswith(b"\xff\xd8")


async def test_what_the_readmes_browser_example_sends(
    made_by_make_run: dict[str, Any], observe: Callable[[str], None]
) -> None:
    """A page from a file has the origin `null`; the example does not wait for the answer of `authenticate`."""
    (example,) = blocks(README, "js")
    methods = re.findall(r'call\("(\w+)"', example)
    assert methods == ["authenticate", "get_camera_list"]
    async with running_agent(config=made_by_make_run) as agent:
        token = agent.token()
        async with connect(agent.url, origin=Origin("null"), proxy=None) as socket:
            for number, method in enumerate(methods):
                params = {"auth_token": token} if method == "authenticate" else {}
                await socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
                )
            with anyio.fail_after(20):
                texts = [str(await socket.recv()) for _ in methods]
    for text in texts:
        observe(text)
    by_id = {reply["id"]: reply for reply in map(json.loads, texts)}
    assert by_id[0]["result"]["authenticated"] is True
    assert by_id[1]["result"]["cameras"][0]["device"] == "camera0"


async def test_the_test_in_the_plugin_guide(observe: Callable[[str], None]) -> None:
    """The guide's own lines, with the example that it is about."""
    example = runpy.run_path(str(ROOT / "examples/hello_plugin/hello_plugin.py"), run_name="hello_plugin")
    _command, test = blocks((ROOT / "docs/plugins.md").read_text(), "python")
    received: list[str] = []

    def keep(text: str) -> None:
        received.append(text)
        observe(text)

    def watched(**options: Any) -> Any:
        return running_agent(observe=keep, **options)

    scope = dict(example)
    exec(compile(test, "docs/plugins.md", "exec"), scope)  # noqa: S102 - our own document
    assert isinstance(scope["TestSource"]().make_source(), example["HelloSource"])
    scope["running_agent"] = watched
    await scope["test_end_to_end"]()
    assert any('"tier_name":"hello"' in text for text in received)


async def test_the_source_with_frames_in_the_plugin_guide(observe: Callable[[str], None]) -> None:
    _, source, *_ = blocks((ROOT / "docs/plugins.md").read_text(), "py")

    async def next_jpeg() -> bytes:
        await anyio.sleep(0.01)
        return a_jpeg(640, 480)

    scope = {**vars(frame_producer), **vars(frames), **vars(frame_server), "api": api, "next_jpeg": next_jpeg}
    exec(compile(source, "docs/plugins.md", "exec"), scope)  # noqa: S102 - our own document

    class Lamp(api.Plugin[api.Settings]):
        @api.hookimpl
        def agent_camera_sources(self, agent: api.AgentContext) -> list[api.CameraSource]:
            return [scope["LampSource"](agent)]

    async with running_agent(plugins={"lamp": Lamp}, observe=observe) as agent, agent.client() as client:
        (camera,) = (await client.call("get_camera_list"))["cameras"]
        snapshot = await client.call("take_snapshot", device=camera["device"])
        assert (snapshot["tier_name"], snapshot["resolution"]) == ("frames", "640x480")
        assert (agent.folder / "run" / "lamp.sock").is_socket()


async def test_the_decoder_of_recordings_in_the_plugin_guide(tmp_path: Path) -> None:
    source, *_ = blocks((ROOT / "docs/plugins.md").read_text(), "py")
    scope: dict[str, Any] = {"api": api, "ffmpeg": ffmpeg}
    exec(compile(source, "docs/plugins.md", "exec"), scope)  # noqa: S102 - our own document
    path = await half_second_parts(tmp_path / "a.mp4")
    with path.open("rb") as file:
        data = await scope["LampStills"]().first(api.StillRequest(file.fileno(), ".mp4", 320, 1 << 20))
    assert jpeg.inspect(data).width == 160


async def test_the_reader_of_a_stream_in_the_plugin_guide(tmp_path: Path) -> None:
    *_, source, _ = blocks((ROOT / "docs/plugins.md").read_text(), "py")
    agent, read = FakeAgent(tmp_path), list[tuple[str, rtsp.Credentials | None]]()
    camera = api.CameraId("camera0")
    stream = agent.streams.serve(camera, "rtsp://127.0.0.1/camera0", rtsp.Credentials("user", "secret"))

    async def read_until_it_ends(url: str, credentials: rtsp.Credentials | None) -> None:
        assert (stream.leases, agent.streams.readers[camera]) == (["watching"], 1)
        read.append((url, credentials))

    scope: dict[str, Any] = {"api": api, "read_until_it_ends": read_until_it_ends}
    exec(compile(source, "docs/plugins.md", "exec"), scope)  # noqa: S102 - our own document
    await scope["Watcher"](agent).run()
    assert read == [(stream.url, stream.credentials)]
    assert (stream.leases, agent.streams.readers[camera]) == ([], 0)


async def test_the_client_of_the_agent_in_the_plugin_guide(observe: Callable[[str], None]) -> None:
    *_, source = blocks((ROOT / "docs/plugins.md").read_text(), "py")
    scope: dict[str, Any] = {"api": api, "anyio": anyio, "asyncio": asyncio, "partial": partial}
    exec(compile(source, "docs/plugins.md", "exec"), scope)  # noqa: S102 - our own document
    listers: list[Any] = []

    class Listing(api.Plugin[api.Settings]):
        @api.hookimpl
        def agent_components(self, agent: api.AgentContext) -> list[api.Component]:
            listers.append(scope["Lister"](agent))
            return listers

    async def found() -> str:
        text: str = listers[0].found
        return text

    plugins = {"enabled": ["virtual_camera"]}
    async with running_agent(plugins={"listing": Listing}, config={"plugins": plugins}, observe=observe):
        reply = json.loads(await eventually(found))
    assert reply["result"]["cameras"] == [] or reply["result"]["cameras"][0]["device"] == "camera0"


async def test_what_is_said_to_be_missing_is_missing(observe: Callable[[str], None]) -> None:
    """Methods that are documented as "not yet", or as those of a plugin, answer so, and none of the others does."""
    later = set(re.findall(r"^\| `(\w+)` \|.*(?:not yet|\| `external_discovery` \|)", API, re.MULTILINE))
    async with running_agent(observe=observe) as agent, agent.client("admin") as client:
        methods = [each["name"] for each in (await client.call("rpc.discover"))["methods"]]
        assert later == {name for name in methods if await is_unsupported(client, name)}


async def is_unsupported(client: AgentClient, method: str) -> bool:
    try:
        await client.call(method)
    except CallFailed as error:
        return error.code == -32030 and error.reason in {"not_available", "plugin_not_loaded"}
    return False


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 30
    assert [word for word in set(words) if words.count(word) > 1] == []
