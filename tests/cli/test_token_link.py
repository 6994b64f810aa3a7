"""`token link`: what it prints, and where it does not."""

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from agent_core.auth.login_codes import LoginCodes
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

LIMIT_S = 50


async def test_a_terminal_gets_a_link_that_logs_in(home: "Home") -> None:
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "agent_core", "token", "link", "--role", "operator", "--user", "me"]
    environment = home.environment({"CAMERA_AGENT__SERVER__PORT": "8123"})
    try:
        with anyio.fail_after(LIMIT_S):
            await anyio.run_process(words, env=environment, stdout=theirs)
        printed = os.read(ours, 65536).decode().strip()
    finally:
        os.close(ours)
        os.close(theirs)
    parts = urlsplit(printed)
    assert (parts.scheme, parts.netloc, parts.path, parts.query) == ("http", "127.0.0.1:8123", "/", "")
    name, _, code = parts.fragment.partition("=")
    secret = Secret.load(home.state_dir / "secret")
    claims = LoginCodes(secret, SystemClock()).verify(code)
    assert (name, claims.user_id, claims.role) == ("login", "me", Role.OPERATOR)


async def test_a_file_or_a_log_gets_none(cli: "Cli", home: "Home") -> None:
    ended = await cli("token", "link", "--role", "admin")
    assert (ended.code, ended.out) == (2, b"")
    assert "terminal" in ended.lines[0]
    assert not (home.state_dir / "secret").exists()
