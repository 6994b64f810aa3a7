"""Reload of an agent of its own, by the command line and by signals."""

import json
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import CallFailed

from .conftest import AgentProcess, AgentProcessFactory, is_running

CONFIG = """
[plugins]
enabled = ["virtual_camera"]
"""


async def reload(agent: AgentProcess, *words: str) -> tuple[int, str, str]:
    argv = [
        sys.executable,
        "-m",
        "agent_core",
        "reload",
        "--config",
        str(agent.folder / "config.toml"),
        *words,
    ]
    ended = await anyio.run_process(argv, check=False)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


async def test_the_command_says_what_changed_and_what_needs_a_restart(
    agent_process: AgentProcessFactory,
) -> None:
    async with agent_process(CONFIG) as agent:
        await agent.url()
        config = agent.folder / "config.toml"
        good = config.read_text()
        assert await reload(agent) == (0, "Nothing has changed.\n", "")
        config.write_text(
            good
            + '[server]\nmax_calls = 3\nhost = "127.0.0.2"\n[[plugins.virtual_camera.cameras]]\nname = "New"\n'
        )
        code, out, _ = await reload(agent)
        assert code == 0
        assert out.splitlines() == [
            "changed:       server.max_calls",
            "needs restart: server.host",
            "needs restart: plugins.virtual_camera.cameras",
        ]
        config.write_text(good)
        code, out, _ = await reload(agent, "--json")
        assert json.loads(out) == {
            "changed": ["server.max_calls"],
            "needs_restart": [],
            "notes": [],
            "errors": [],
        }
        config.write_text(good + "[server]\nmax_calls = 'many'\n")
        code, _, err = await reload(agent)
        assert code == 5
        assert "server.max_calls: Input should be a valid integer" in err
        assert str(config) in err
        async with agent.client("admin") as client:
            with pytest.raises(CallFailed) as refused:
                await client.call("reload_configuration")
        assert (refused.value.code, refused.value.reason) == (-32020, "invalid_value")
        elsewhere = agent.folder / "elsewhere.toml"  # by which the command finds the agent
        elsewhere.write_text(good)
        code, _, err = await reload(agent, "--json", "--config", str(elsewhere))
        assert (code, json.loads(err)["error"]["exit_code"]) == (5, 5)
        assert str(config) in json.loads(err)["error"]["details"]
        config.write_text(good)
        assert await agent.end() == 0
    code, _, err = await reload(agent)
    assert code == 3, err


async def test_doctor_knows_the_files_of_a_reload(agent_process: AgentProcessFactory) -> None:
    async with agent_process(CONFIG) as agent:
        await agent.url()
        drop_in = agent.folder / "conf.d/10.toml"
        drop_in.parent.mkdir()
        drop_in.write_text("[auth]\ncalls_burst = 300\n")
        assert (await reload(agent))[1] == "changed:       auth.calls_burst\n"
        endpoint: Any = json.loads((agent.folder / "state/endpoint.json").read_text())
        assert endpoint["config_files"] == [str(agent.folder / "config.toml"), str(drop_in)]


async def test_systemd_is_told_of_each_reload(agent_process: AgentProcessFactory, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        async with agent_process(CONFIG, environment=environment) as agent:
            await agent.url()
            told = [await received(manager, "READY=1")]
            agent.process.send_signal(signal.SIGHUP)
            told.append(await received(manager, "RELOADING=1"))
            told.append(await received(manager, "READY=1"))
            (agent.folder / "config.toml").write_text("[sever]\n")
            agent.process.send_signal(signal.SIGHUP)
            told.append(await received(manager, "RELOADING=1"))
            told.append(await received(manager, "READY=1"))
    first, began, ended, again, failed = told
    assert first == "READY=1"
    times_us = [int(each.partition("MONOTONIC_USEC=")[2]) for each in (began, again)]
    assert 0 < times_us[0] < times_us[1]
    assert ended == "READY=1\nSTATUS="
    assert failed.startswith("READY=1\nSTATUS=The configuration was not reloaded: ")
    assert "'sever'" in failed


async def received(manager: Any, words: str) -> str:
    while True:
        text: str = (await anyio.to_thread.run_sync(manager.recv, 4096)).decode()
        if text.startswith(words):
            return text


async def test_an_agent_outlives_its_terminal(agent_process: AgentProcessFactory, tmp_path: Path) -> None:
    """Closing a terminal sends SIGHUP to what runs in it, which reloads the configuration and ends nothing."""
    (tmp_path / "config.toml").write_text(
        f'[storage]\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n[server]\nport = 0\n'
    )
    argv = [sys.executable, "-m", "agent_core", "run", "--config", str(tmp_path / "config.toml")]
    leader, terminal = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        start = [sys.executable, "-c", TERMINAL, *argv]
        process = await anyio.open_process(
            start, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        )
        os.close(terminal)
        try:
            agent = AgentProcess(process, tmp_path, lambda _: None)
            await agent.url()
            await anyio.to_thread.run_sync(read_until, screen.fileno(), b"listening on")
            (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text() + "max_calls = 3\n")
        finally:
            screen.close()
        try:
            async with agent.client("admin", ready=False) as client:
                with anyio.fail_after(20):
                    while (await client.call("reload_configuration"))["changed"]:
                        await anyio.sleep(0.01)
            assert is_running(process.pid)
            assert await agent.end() == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


#: Makes standard input the controlling terminal, as a shell's programs have one, and becomes the agent.
TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def read_until(fd: int, words: bytes) -> None:
    text = b""
    while words not in text:
        text += os.read(fd, 4096)
