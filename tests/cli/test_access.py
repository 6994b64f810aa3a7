"""Permissions of the command line's users, and messages for users who lack them."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.errors import AuthenticationFailed, ConfigError
from agent_core.cli.access import configured_url, find_access, running_url
from agent_core.client import AgentUnreachable
from agent_core.config import ServerConfig

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home
    from tests.conftest import Raw, ToyAgent


def asked(**options: Any) -> Namespace:
    return Namespace(**({"url": None, "token_file": None, "config": None} | options))


def configured(path: Path, port: int = 8123, more: str = "") -> Path:
    file = path / "agent.toml"
    file.write_text(f'[server]\nport = {port}\n{more}\n[storage]\nstate_dir = "{path / "state"}"\n')
    return file


async def test_the_agent_of_this_host_needs_no_option(announced: "ToyAgent", cli: "Cli") -> None:
    assert (await cli("call", "echo", "text=a")).value == {"text": "a"}


async def test_a_local_address_gets_a_local_token(toy: "ToyAgent", cli: "Cli") -> None:
    assert (await cli("call", "echo", "text=a", "--url", toy.url)).code == 0
    assert (
        await cli("call", "echo", "text=a", env={"CAMERA_AGENT_URL": toy.url.removesuffix("/ws")})
    ).code == 0


def test_the_local_token_lives_a_minute_and_may_do_everything(tmp_path: Path) -> None:
    secret = Secret.load(tmp_path / "state" / "secret")
    access = find_access(asked(config=configured(tmp_path)), {})
    assert access.url == "ws://127.0.0.1:8123/ws"
    claims = jwt.decode(access.token or "", secret.value, algorithms=["HS256"])
    assert claims["role"] == "admin"
    assert claims["exp"] - claims["iat"] == 60
    assert access.token is not None
    assert access.token not in repr(access)


def test_a_token_of_this_host_is_not_sent_to_another(tmp_path: Path) -> None:
    Secret.load(tmp_path / "state" / "secret")
    config = configured(tmp_path)
    assert find_access(asked(config=config, url="ws://192.0.2.1:8002"), {}).token is None
    assert find_access(asked(config=config, url="ws://localhost:8002"), {}).token is not None
    assert find_access(asked(config=config, url="ws://[::1]:8002/ws"), {}).token is not None


def test_address_and_token_together_need_no_configuration(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[")
    environment = {"CAMERA_AGENT_URL": "ws://127.0.0.1:1", "CAMERA_AGENT_TOKEN": "abc\n"}
    access = find_access(asked(config=broken), environment)
    assert (access.url, access.token) == ("ws://127.0.0.1:1/ws", "abc")
    with pytest.raises(ConfigError):
        find_access(asked(config=broken), {})


def test_options_win_over_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from file\n")
    environment = {"CAMERA_AGENT_URL": "ws://127.0.0.1:1/ws", "CAMERA_AGENT_TOKEN": "abc"}
    access = find_access(asked(url="wss://agent.example/ws", token_file=file), environment)
    assert (access.url, access.token) == ("wss://agent.example/ws", "from file")


def test_without_a_secret_there_is_no_token_and_none_is_made(tmp_path: Path) -> None:
    assert find_access(asked(config=configured(tmp_path)), {}).token is None
    assert not (tmp_path / "state").exists()


def test_a_secret_that_is_open_to_others_is_not_used(tmp_path: Path) -> None:
    Secret.load(tmp_path / "state" / "secret")
    (tmp_path / "state" / "secret").chmod(0o644)
    with pytest.raises(AuthenticationFailed) as caught:
        find_access(asked(config=configured(tmp_path)), {})
    assert caught.value.reason == "secret_exposed"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "ws://127.0.0.1:5/ws"),  # noqa: S104 - listened to by nobody
        ("::", "ws://[::1]:5/ws"),
        ("agent.local", "ws://agent.local:5/ws"),
    ],
)
def test_where_an_agent_would_listen(host: str, url: str) -> None:
    assert configured_url(ServerConfig(host=host, port=5)) == url
    with pytest.raises(AgentUnreachable):
        configured_url(ServerConfig(host=host, port=0))


def test_where_an_agent_listens_while_its_process_is_there(tmp_path: Path) -> None:
    file = tmp_path / "endpoint.json"
    assert running_url(file) is None
    file.write_text(json.dumps({"url": "ws://0.0.0.0:7/ws", "pid": os.getpid()}))
    assert running_url(file) == "ws://127.0.0.1:7/ws"
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    file.write_text(json.dumps({"url": "ws://127.0.0.1:7/ws", "pid": int(ended.stdout)}))
    assert running_url(file) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"url": "ws://h:1/ws", "pid": "x"}', '{"url": "http://h:1/", "pid": 1}']
)
def test_an_unusable_endpoint_file_is_no_endpoint(tmp_path: Path, text: str) -> None:
    file = tmp_path / "endpoint.json"
    file.write_text(text)
    assert running_url(file) is None


async def test_nobody_there_is_code_3(cli: "Cli", home: "Home") -> None:
    ended = await cli("cameras")
    assert (ended.code, ended.out) == (3, b"")
    assert "No agent with this configuration is running" in ended.lines[0]
    told = await cli("cameras", "--url", "ws://127.0.0.1:9/ws", "--json")
    assert (told.code, told.error["reason"]) == (3, "unreachable")
    assert not home.state_dir.exists()


async def test_what_is_no_agent_is_code_3(cut_off: "Raw", cli: "Cli") -> None:
    ended = await cli("cameras", "--url", cut_off.url)
    assert ended.code == 3
    assert ended.lines


async def test_no_token_and_a_wrong_one_are_code_4(toy: "ToyAgent", cli: "Cli", home: "Home") -> None:
    stranger = {"CAMERA_AGENT__STORAGE__STATE_DIR": str(home.path / "other")}
    ended = await cli("cameras", "--url", toy.url, env=stranger)
    assert ended.code == 4
    assert "token create" in ended.lines[1]
    wrong = {"CAMERA_AGENT_TOKEN": "no.such.token", **stranger}
    told = await cli("cameras", "--url", toy.url, "--json", env=wrong)
    assert (told.code, told.error["code"], told.error["reason"]) == (4, -32001, "token_invalid")
    assert "no.such.token" not in told.err


async def test_a_role_that_is_too_low_is_code_4(toy: "ToyAgent", cli: "Cli", home: "Home") -> None:
    file = home.path / "token"
    file.write_text(toy.token(Role.VIEWER))
    ended = await cli("call", "wipe", "--url", toy.url, "--token-file", str(file))
    assert ended.code == 4
    assert "admin" in ended.lines[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_a_state_folder_of_another_account_is_said(tmp_path: Path) -> None:
    Secret.load(tmp_path / "state" / "secret")
    # What is imported late may lie where the other account cannot read: import it first.
    code = (
        "import os, sys, anyio, agent_core.app, agent_core.client; from agent_core.cli import main\n"
        "anyio.run(anyio.sleep, 0); os.seteuid(65534); sys.exit(main(['cameras']))"
    )
    environment = {
        "XDG_CONFIG_HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
        "CAMERA_AGENT__STORAGE__STATE_DIR": str(tmp_path / "state"),
    }
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    what, todo = done.stderr.splitlines()
    assert "This user cannot read" in what
    assert "--token-file" in todo
    assert "agent's user" in todo
