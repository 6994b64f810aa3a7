"""The commands about this host: configuration, plugins, tokens, run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest

from agent_core.auth.roles import Role
from agent_core.base.errors import ConfigError, PluginError, StartFailed
from agent_core.cli.commands.run import run_agent
from agent_core.cli.commands.tokens import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Cli, Home

PLUGINS = """
from pydantic import Field

from agent_core.plugin import Plugin, Settings

print("imported")


class GoodSettings(Settings):
    size: int = Field(3, ge=1, description="how much")


class Good(Plugin[GoodSettings]):
    Settings = GoodSettings


class Other(Plugin[Settings]):
    pass
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"


@pytest.fixture
def with_plugins(home: "Home") -> dict[str, str]:
    """An environment in which the distribution `some-plugins` is installed."""
    packages = home.path / "packages"
    metadata = packages / "some_plugins-1.2.dist-info"
    metadata.mkdir(parents=True)
    (packages / "some_plugins.py").write_text(PLUGINS)
    (packages / "some_broken.py").write_text(BROKEN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugins\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\ngood = some_plugins:Good\nother = some_plugins:Other\nbroken = some_broken:Broken\n"
    )
    return {"PYTHONPATH": str(packages), "CAMERA_AGENT__PLUGINS__ENABLED": '["good"]'}


def enabled(environment: dict[str, str], *names: str, **more: str) -> dict[str, str]:
    return {**environment, "CAMERA_AGENT__PLUGINS__ENABLED": json.dumps(names), **more}


async def test_check_config_says_what_holds(cli: "Cli", home: "Home") -> None:
    file = home.path / "agent.toml"
    file.write_text("[plugins.nobody]\nx = 1\n")
    ended = await cli("check-config", "--config", str(file))
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.startswith("The configuration is valid.\n")
    assert "'nobody', which is not in plugins.enabled" in ended.text
    told = (await cli("check-config", "--config", str(file), "--json")).value
    assert (told["valid"], told["files"], len(told["warnings"])) == (True, [str(file)], 1)


@pytest.mark.parametrize(
    "command", [["check-config"], ["run"], ["cameras"], ["token", "create", "--role", "viewer"]]
)
async def test_an_invalid_configuration_is_code_5(cli: "Cli", home: "Home", command: list[str]) -> None:
    file = home.path / "agent.toml"
    file.write_text("[server]\nprot = 1\n")
    ended = await cli(*command, "--config", str(file))
    assert (ended.code, ended.out) == (5, b"")
    assert "server.prot" in ended.lines[0]
    assert "'port'" in ended.lines[1]
    missing = await cli(*command, "--config", "none.toml", "--json")
    assert (missing.code, missing.error["reason"]) == (5, "config_missing")


async def test_wrong_settings_of_a_plugin_are_code_5(cli: "Cli", with_plugins: dict[str, str]) -> None:
    ended = await cli("check-config", env=with_plugins | {"CAMERA_AGENT__PLUGINS__GOOD__SIZE": "0"})
    assert ended.code == 5
    assert "plugins.good.size" in ended.err


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("SIZE", "0", "plugins.good.size"), ("SISE", "4", "Did you mean 'size'?")],
)
async def test_run_refuses_the_settings_that_check_config_refuses(
    cli: "Cli", with_plugins: dict[str, str], key: str, value: str, said: str
) -> None:
    environment = with_plugins | {f"CAMERA_AGENT__PLUGINS__GOOD__{key}": value}
    checked = await cli("check-config", "--json", env=environment)
    ran = await cli("run", "--json", env=environment)
    assert (checked.code, ran.code) == (5, 5)
    told, checked_error = (json.loads(each.err.splitlines()[-1])["error"] for each in (ran, checked))
    assert told == checked_error
    assert said in f"{told['details']} {told['suggestion']}"


@pytest.mark.parametrize("required", ["", "required = true\n"])
async def test_the_file_with_wrong_settings_of_a_plugin_is_named(
    cli: "Cli", home: "Home", with_plugins: dict[str, str], required: str
) -> None:
    main, other = home.path / "agent.toml", home.path / "conf.d" / "good.toml"
    main.write_text(f"[plugins.good]\nsize = 3\n{required}")
    other.parent.mkdir()
    for wrong, key in (("size = 0", "size"), ("sise = 1", "sise")):
        other.write_text(f"[plugins.good]\n{wrong}\n")
        for command in ("check-config", "run"):
            ended = await cli(command, "--config", str(main), "--json", env=with_plugins)
            error = json.loads(ended.err.splitlines()[-1])["error"]  # the plugin prints, and the agent logs
            assert (ended.code, error["reason"]) == (5, "wrong_settings")
            assert f"plugins.good.{key}" in error["details"]
            assert error["details"].endswith(f"(in {other}).")


async def test_a_plugin_that_cannot_be_loaded_is_a_warning_unless_required(
    cli: "Cli", with_plugins: dict[str, str]
) -> None:
    environment = enabled(with_plugins, "broken", "good")
    ended = await cli("check-config", "--json", env=environment)
    assert ended.code == 0
    assert "broken on purpose" in ended.value["warnings"][0]
    ended = await cli("check-config", env=environment | {"CAMERA_AGENT__PLUGINS__BROKEN__REQUIRED": "true"})
    assert ended.code == 5
    assert "broken on purpose" in ended.err


async def test_the_schema_has_the_settings_of_enabled_plugins(
    cli: "Cli", with_plugins: dict[str, str]
) -> None:
    ended = await cli("config", "schema", env=enabled(with_plugins, "good", "broken"))
    schema = ended.value
    plugins = schema["$defs"]["PluginsConfig"]["properties"]
    good = schema["$defs"][plugins["good"]["$ref"].rpartition("/")[2]]
    assert good["properties"]["size"]["description"] == "how much"
    assert good["properties"]["required"]["type"] == "boolean"
    assert good["additionalProperties"] is False
    assert "broken" not in plugins
    assert "port" in schema["$defs"]["ServerConfig"]["properties"]
    assert (await cli("config", "schema", "--json", env=with_plugins)).value["title"] == "AgentConfig"


async def test_plugins_are_listed_with_their_reasons(cli: "Cli", with_plugins: dict[str, str]) -> None:
    environment = enabled(with_plugins, "good", "broken", "absent")
    ended = await cli("plugins", "list", "--json", env=environment)
    rows = {row["name"]: row for row in ended.value}
    assert (ended.code, list(rows)[:3]) == (0, ["good", "broken", "absent"])
    assert (rows["good"]["state"], rows["good"]["version"], rows["good"]["reason"]) == ("LOADED", "1.2", "")
    assert (rows["broken"]["state"], rows["broken"]["version"]) == ("FAILED", "1.2")
    assert rows["broken"]["reason"] == "import_failed"
    assert "camera-agent-absent" in rows["absent"]["suggestion"]
    assert rows["other"]["state"] == "NOT_ENABLED"
    shown = (await cli("plugins", "list", env=environment)).text
    assert "broken on purpose" in shown
    assert "Install the package camera-agent-absent" in shown


async def test_what_is_not_enabled_is_not_imported(cli: "Cli", with_plugins: dict[str, str]) -> None:
    ended = await cli("plugins", "list", env=enabled(with_plugins))
    assert "imported" not in ended.text + ended.err
    assert "other" in ended.text


async def test_plugins_check_fails_where_one_cannot_be_used(cli: "Cli", with_plugins: dict[str, str]) -> None:
    ended = await cli("plugins", "check", env=with_plugins)
    assert ended.code == 0
    environment = enabled(with_plugins, "good", "absent", CAMERA_AGENT__PLUGINS__ABSENT__REQUIRED="true")
    ended = await cli("plugins", "check", "--json", env=environment)
    assert ended.code == 1
    assert [row["name"] for row in ended.value] == ["good", "absent"]
    error = json.loads(ended.err.splitlines()[-1])["error"]
    assert error["reason"] == "plugins_failed"
    assert "absent" in error["details"]


def test_the_roles_are_those_of_the_agent() -> None:
    assert tuple(Role) == ROLES


async def test_a_token_is_made_with_the_agents_secret(cli: "Cli", home: "Home") -> None:
    ended = await cli(
        "token", "create", "--role", "operator", "--user", "gate", "--lifetime-s", "90", "--json"
    )
    secret = (home.state_dir / "secret").read_bytes().strip()
    assert (home.state_dir / "secret").stat().st_mode & 0o777 == 0o600
    claims = jwt.decode(ended.value["token"], secret, algorithms=["HS256"])
    assert (claims["role"], claims["user_id"], claims["exp"] - claims["iat"]) == ("operator", "gate", 90)
    plain = await cli("token", "create", "--role", "viewer")
    claims = jwt.decode(plain.text.strip(), secret, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 86_400


async def test_a_secret_that_others_can_read_is_code_4(cli: "Cli", home: "Home") -> None:
    await cli("token", "create", "--role", "viewer")
    (home.state_dir / "secret").chmod(0o644)
    ended = await cli("token", "create", "--role", "viewer")
    assert (ended.code, ended.out) == (4, b"")
    assert "read by other users" in ended.lines[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_no_secret_is_made_in_a_folder_of_another_account(cli: "Cli", home: "Home") -> None:
    home.state_dir.mkdir()
    os.chown(home.state_dir, 65534, 65534)
    ended = await cli("token", "create", "--role", "viewer")
    assert ended.code == 4
    assert "belongs to another user" in ended.lines[0]
    assert list(home.state_dir.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        StartFailed("The port is taken.", suggestion="Free it."),
        PluginError("No plugin.", suggestion="Get it."),
    ],
)
def test_an_agent_that_cannot_start_is_code_6(
    error: Exception, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def start(_find: "Callable[[], tuple[Path, ...]]") -> int:
        raise error

    file = tmp_path / "agent.toml"
    file.touch()
    assert run_agent(start, file, as_json=False) == 6
    assert capsys.readouterr().err == f"camera-agent: {error}\nWhat to do: {error.suggestion}\n"  # type: ignore[attr-defined]
    assert run_agent(start, file, as_json=True) == 6
    assert json.loads(capsys.readouterr().err)["error"]["exit_code"] == 6


def test_run_hands_over_the_files_and_the_code(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.touch()
    seen: list[tuple[Path, ...]] = []

    def start(find: "Callable[[], tuple[Path, ...]]") -> int:
        seen.append(find())
        return 0

    assert run_agent(start, file, as_json=False) == 0
    assert seen == [(file,)]
    with pytest.raises(ConfigError):
        run_agent(start, tmp_path / "none.toml", as_json=False)


async def test_a_port_that_is_taken_is_code_6(cli: "Cli") -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await cli("run", env={"CAMERA_AGENT__SERVER__PORT": str(taken.getsockname()[1])})
    assert ended.code == 6
    what, todo = ended.err.splitlines()[-2:]
    assert what.startswith("camera-agent: ")
    assert todo.startswith("What to do: ")


def test_the_entry_point_of_the_distribution_is_this_command_line() -> None:
    script = Path(sys.executable).with_name("camera-agent")
    if not script.exists():
        pytest.skip("the distribution is not installed here")
    done = subprocess.run([script, "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("camera-agent ")
