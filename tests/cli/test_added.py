"""Commands that other distributions add: loaded when they are needed, each failing alone."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

LAMP = """
def add(kit):
    kit.options(add_room)
    lamp = kit.group("Switch the lamps.")
    turn = lamp.add("turn", run, "Turn one lamp.")
    turn.add_argument("way", choices=("on", "off"))
    turn.add_argument("--level", type=kit.number(int, 1, 9), default=5)
    turn.add_argument("params", nargs="*")
    turn.set_defaults(parse=kit.parse_params)


def add_room(parser):
    import argparse

    parser.add_argument("--room", default=argparse.SUPPRESS)


def run(arguments, output):
    from agent_core.plugin.commands import AuthenticationFailed, CommandFailed, Unreachable, UsageFailed

    failures = {"failed": CommandFailed, "wrong": UsageFailed, "away": Unreachable, "denied": AuthenticationFailed}
    room = getattr(arguments, "room", "hall")
    if room in failures:
        raise failures[room]("The lamp is dark.", suggestion="Light it.")
    value = {"room": room, "way": arguments.way, "level": arguments.level, **arguments.parse(arguments.params)}
    output.note("turning")
    output.print_result(value, output.table(("ROOM", "WAY"), [(room, arguments.way)]))
    return 1 if room == "cellar" else 0
"""
PLAIN = """
def add(kit):
    kit.command(lambda arguments, output: output.print_result(kit.name, [kit.name]) or 0, "Say the name.")
"""


def install(folder: Path, dist: str, commands: Mapping[str, str], **modules: str) -> None:
    """Put a distribution into `folder`: its `commands` by name, such as `module:add`, and the text of its modules."""
    info = folder / f"{dist}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in commands.items())
    (info / "entry_points.txt").write_text(f"[camera_agent.commands]\n{lines}")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


def on_path(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(site)}


async def test_an_added_command_runs(cli: "Cli", site: Path) -> None:
    install(site, "lamps", {"lamp": "lamps:add"}, lamps=LAMP)
    shown = await cli("lamp", "turn", "on", "--room", "attic", env=on_path(site))
    assert (shown.code, shown.text, shown.err) == (0, "ROOM   WAY\nattic  on\n", "turning\n")
    ended = await cli("--json", "lamp", "turn", "off", "--level", "7", "a=1", "b=x", env=on_path(site))
    assert (ended.code, ended.err) == (0, "")
    assert ended.value == {"room": "hall", "way": "off", "level": 7, "a": 1, "b": "x"}


async def test_its_options_may_stand_before_it(cli: "Cli", site: Path) -> None:
    install(site, "lamps", {"lamp": "lamps:add"}, lamps=LAMP)
    for words in (["--room", "cellar", "lamp", "turn", "on"], ["lamp", "turn", "on", "--room=cellar"]):
        ended = await cli(*words, "--json", env=on_path(site))
        assert (ended.code, ended.value["room"]) == (1, "cellar")


@pytest.mark.parametrize(("room", "code"), [("failed", 1), ("wrong", 2), ("away", 3), ("denied", 4)])
async def test_its_failures_look_like_those_of_the_agent(
    cli: "Cli", site: Path, room: str, code: int
) -> None:
    install(site, "lamps", {"lamp": "lamps:add"}, lamps=LAMP)
    ended = await cli("lamp", "turn", "on", "--room", room, env=on_path(site))
    assert (ended.code, ended.out) == (code, b"")
    assert ended.lines == ("camera-agent: The lamp is dark.", "What to do: Light it.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lamp"], "COMMAND"),
        (["lamp", "turn", "up"], "up"),
        (["lamp", "turn", "on", "--level", "10"], "from 1 to 9"),
        (["lamp", "turn", "on", "a"], "KEY=VALUE"),
        (["cameras", "--room", "attic"], "--room"),
        (["lump"], "'lamp'"),
    ],
)
async def test_wrong_use_of_it_is_told_as_that_of_any_command(
    cli: "Cli", site: Path, words: list[str], said: str
) -> None:
    install(site, "lamps", {"lamp": "lamps:add"}, lamps=LAMP)
    ended = await cli(*words, env=on_path(site))
    assert ended.code == 2
    assert said in ended.lines[0]


async def test_help_lists_it(cli: "Cli", site: Path) -> None:
    install(site, "lamps", {"lamp": "lamps:add"}, lamps=LAMP)
    shown = await cli("--help", env=on_path(site))
    assert (shown.code, shown.err) == (0, "")
    assert re.search(
        r"^    lamp +Switch the lamps\.$", shown.text, re.MULTILINE
    )  # other commands may have long options
    assert "--room" in shown.text
    assert "exit codes:" in (await cli("lamp", "turn", "--help", env=on_path(site))).text


BROKEN = {
    "import": ({"broken": "no_such_module:add"}, {}, "ModuleNotFoundError: No module named 'no_such_module'"),
    "raises": ({"broken": "broken:add"}, {"broken": "def add(kit): raise OSError('no lamp')"}, "OSError: no lamp"),
    "exits": ({"broken": "broken:add"}, {"broken": "raise SystemExit(0)"}, "SystemExit: 0"),
    "nothing": ({"broken": "broken:add"}, {"broken": "def add(kit): pass"}, "it adds no command"),
    "replaces": ({"cameras": "plain:add"}, {"plain": PLAIN}, "the agent has a command of that name"),
    "option": (
        {"broken": "broken:add"},
        {"broken": "def add(kit): kit.options(lambda parser: parser.add_argument('--url'))"},
        "conflicting option string: --url",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("commands", "modules", "said"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_one_costs_only_itself(
    cli: "Cli", site: Path, commands: dict[str, str], modules: dict[str, str], said: str
) -> None:
    install(site, "broken", commands, **modules)
    install(site, "plain", {"name": "plain:add"}, plain=PLAIN)
    shown = await cli("--help", env=on_path(site))
    assert shown.code == 0
    (warning,) = shown.err.splitlines()
    (name,) = commands
    assert warning.startswith(f"camera-agent: warning: The command '{name}' of broken is left out: ")
    assert said in warning
    assert "Say the name." in shown.text
    told = await cli("name", env=on_path(site))
    assert (told.code, told.text, told.err) == (0, "name\n", "")


@pytest.mark.parametrize("damage", [b"[console_scripts]\nname without value\n", b"[a]\nb = c:\xff\n"])
async def test_damaged_metadata_costs_only_the_commands_of_that_distribution(
    cli: "Cli", site: Path, damage: bytes
) -> None:
    install(site, "broken", {"broken": "plain:add"})
    (site / "broken-1.0.dist-info/entry_points.txt").write_bytes(damage)
    install(site, "plain", {"name": "plain:add"}, plain=PLAIN)
    told = await cli("name", env=on_path(site))
    assert (told.code, told.text) == (0, "name\n")
    (warning,) = told.err.splitlines()
    assert warning.startswith("camera-agent: warning: The commands of broken are left out: ")
    assert warning.endswith("Install it again, or remove it.")


async def test_the_agents_own_command_is_not_replaced(cli: "Cli", site: Path) -> None:
    install(site, "plain", {"version": "plain:add"}, plain=PLAIN)
    assert (await cli("version", env=on_path(site))).text.startswith("camera-agent ")


async def test_two_of_one_name_are_both_left_out(cli: "Cli", site: Path) -> None:
    install(site, "plain", {"name": "plain:add"}, plain=PLAIN)
    install(site, "other", {"name": "other:add"}, other=PLAIN)
    ended = await cli("name", env=on_path(site))
    assert ended.code == 2
    warning, fault, _ = ended.err.splitlines()
    assert "'name' is left out: other and plain both offer it" in warning
    assert "invalid choice: 'name'" in fault


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["version"], []),
        (["--json", "--config", "name", "version"], []),
        (["--url=name", "version", "--help"], []),
        (["--version"], []),
        (["name"], ["importlib.metadata", "plain"]),
        (["--help"], ["broken_one", "importlib.metadata", "plain"]),
    ],
)
async def test_they_are_loaded_only_if_one_may_be_meant(
    site: Path, tmp_path: Path, words: list[str], expected: list[str]
) -> None:
    install(site, "plain", {"name": "plain:add"}, plain=PLAIN)
    install(site, "other", {"one": "broken_one:add"}, broken_one="def add(kit): pass")
    code = f"""
import sys
from agent_core.__main__ import main
sys.argv[1:] = {words!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code
print("IMPORTED", *sorted({{"plain", "broken_one", "importlib.metadata"}} & set(sys.modules)))
"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **on_path(site)}
    done = await anyio.run_process([sys.executable, "-c", code], env=environment, cwd=tmp_path)
    assert done.stdout.decode().splitlines()[-1].split()[1:] == expected


async def test_json_stays_json_beside_a_broken_one(cli: "Cli", site: Path) -> None:
    install(site, "broken", {"broken": "no_such_module:add"})
    ended = await cli("frobnicate", "--json", env=on_path(site))
    assert json.loads(ended.err.splitlines()[-1])["error"]["exit_code"] == 2


async def test_the_command_in_the_plugin_guide(cli: "Cli", site: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/plugins.md").read_text()
    (example,) = re.findall(r"^```python\n# hello_lamps.py\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    install(site, "lamps", {"lamp": "hello_lamps:add"}, hello_lamps=example)
    assert (await cli("lamp", "turn", "on", "--json", env=on_path(site))).value == {"way": "on"}
    refused = await cli("lamp", "turn", "on", "--level", "8", env=on_path(site))
    assert (refused.code, refused.lines[1]) == (1, "What to do: Wait a minute.")
