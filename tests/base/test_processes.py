"""Real children: shell scripts and small Python programs."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from agent_core.base import processes
from agent_core.testing.contracts import children

SLEEPER = "import time; time.sleep(60)"


def is_alive(pid: int) -> bool:
    """A zombie that its parent has not reaped yet is not alive."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def gone(pid: int) -> None:
    with anyio.fail_after(20):
        while is_alive(pid):
            await anyio.sleep(0.01)


def line_of(path: Path) -> str:
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("\n") else ""


async def written(path: Path) -> str:
    with anyio.fail_after(20):
        while not line_of(path):
            await anyio.sleep(0.01)
    return line_of(path)


async def test_run_returns_output_errors_and_status() -> None:
    finished = await processes.run(["sh", "-c", "echo out; echo err >&2; exit 3"])

    assert finished == processes.Finished(3, b"out\n", "err\n")


async def test_run_reports_the_signal_that_ended_the_child() -> None:
    finished = await processes.run(["sh", "-c", "kill -SEGV $$"])

    assert finished.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("name", ["no-such-program-here", "/nonexistent/program"])
async def test_a_missing_program_is_file_not_found(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        await processes.run([name])


async def test_a_file_that_is_not_executable_is_not_found(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")

    with pytest.raises(FileNotFoundError):
        await processes.run([str(program)])


async def test_an_argument_is_one_word_whatever_is_in_it() -> None:
    word = "a b; echo $HOME 'x' \"y\" -- *"

    finished = await processes.run(["printf", "%s", word])

    assert finished.stdout.decode() == word


async def test_a_chatty_child_neither_blocks_nor_grows_us() -> None:
    finished = await processes.run(
        [sys.executable, "-c", "import sys\nfor n in range(200000): print('line', n, file=sys.stderr)"]
    )

    assert finished.returncode == 0
    assert len(finished.stderr) <= 8192
    assert finished.stderr.endswith("line 199999\n")


async def test_output_over_the_limit_ends_the_whole_group(tmp_path: Path) -> None:
    """The grandchild holds standard error open, which must not keep the call waiting."""
    pid_file = tmp_path / "pid"
    with anyio.fail_after(10):
        finished = await processes.run(
            ["sh", "-c", f"sleep 60 & echo $! > {pid_file}; exec yes"], output_limit_bytes=100_000
        )

    assert finished.overflowed
    assert finished.returncode == -signal.SIGKILL
    assert len(finished.stdout) > 100_000
    await gone(int(pid_file.read_text()))


async def test_output_of_exactly_the_limit_is_whole() -> None:
    finished = await processes.run(["head", "-c", "1000", "/dev/zero"], output_limit_bytes=1000)

    assert not finished.overflowed
    assert len(finished.stdout) == 1000
    assert finished.returncode == 0


async def test_cancelling_kills_children_and_grandchildren_that_ignore_signals(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    script = f"trap '' TERM INT HUP; sh -c 'trap \"\" TERM INT; sleep 60' & echo $$ $! > {pid_file}; wait"

    async with anyio.create_task_group() as tg:
        tg.start_soon(processes.run, ["sh", "-c", script])
        pids = [int(word) for word in (await written(pid_file)).split()]
        assert all(is_alive(pid) for pid in pids)
        tg.cancel_scope.cancel()

    assert len(pids) == 2
    assert not is_alive(pids[0])  # reaped before the scope was left
    await gone(pids[1])


async def test_cancelling_before_the_start_is_known_kills_the_whole_group_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    script = f"sh -c 'sleep 60' & echo $$ $! > {pid_file}; wait"
    others = children()

    async with anyio.create_task_group() as tg:
        tg.start_soon(processes.run, ["sh", "-c", script])
        with anyio.fail_after(10):
            while children() == others:
                await checkpoint()
        # What follows the fork in the loop is held up, as on a loaded machine.
        deadline_s = time.monotonic() + 10
        while not line_of(pid_file) and time.monotonic() < deadline_s:
            time.sleep(0.01)  # noqa: ASYNC251 - on purpose
        tg.cancel_scope.cancel()

    child, grandchild = (int(word) for word in line_of(pid_file).split())
    assert not is_alive(child)
    await gone(grandchild)


async def test_leaving_the_scope_ends_a_child_whose_output_nobody_reads() -> None:
    with anyio.fail_after(10):
        async with processes.child(["yes"]) as process:
            assert is_alive(process.pid)

    assert process.returncode == -signal.SIGKILL


async def test_an_error_in_the_scope_ends_the_child_and_comes_through() -> None:
    with pytest.raises(ValueError, match="ours"):
        async with processes.child(["sleep", "60"]) as process:
            raise ValueError("ours")

    assert process.returncode == -signal.SIGKILL


async def test_a_child_with_grace_may_end_by_itself(tmp_path: Path) -> None:
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    script = f"trap 'echo bye > {ended}; exit 7' INT; echo > {ready}; while :; do sleep 0.05; done"

    async with processes.child(["sh", "-c", script], stop_signal=signal.SIGINT, grace_s=10) as process:
        await written(ready)

    assert process.returncode == 7
    assert ended.read_text() == "bye\n"


async def test_a_child_that_ignores_its_grace_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; echo > {ready}; while :; do sleep 0.05; done"

    with anyio.fail_after(10):
        async with processes.child(["sh", "-c", script], grace_s=0.2) as process:
            await written(ready)

    assert process.returncode == -signal.SIGKILL


async def test_tail_keeps_the_last_bytes_only() -> None:
    tail = processes.Tail(limit_bytes=10)
    async with processes.child(
        ["sh", "-c", "for n in 1 2 3 4 5; do printf '%s-----' $n; sleep 0.02; done"]
    ) as process:
        assert process.stdout is not None
        await tail.follow(process.stdout)

    assert tail.text == "----5-----"


# The launcher.


def fallback(tmp_path: Path) -> Sequence[str]:
    return processes.find_launcher(str(tmp_path))


def test_setpriv_is_preferred_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "setpriv").write_text("#!/bin/sh\n")
    (tmp_path / "setpriv").chmod(0o755)

    assert processes.find_launcher(str(tmp_path))[1:] == ("--pdeathsig", "KILL", "--")


def test_busybox_setpriv_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_text("#!/bin/sh\n")
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "setpriv").symlink_to("busybox")

    assert processes.find_launcher(str(tmp_path))[0] == sys.executable


@pytest.mark.parametrize(
    ("script", "how"), [("exit 127", "ends with status 127"), ("kill -SYS $$", "is ended by signal 31")]
)
async def test_a_setpriv_that_must_not_call_capset_is_said_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, how: str
) -> None:
    (tmp_path / "setpriv").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "setpriv").chmod(0o755)

    launcher = fallback(tmp_path)
    assert launcher[0] == sys.executable
    assert how in caplog.text
    async with processes.child(["sh", "-c", "exit 7"], launcher=launcher) as process:
        assert await process.wait() == 7


async def test_the_fallback_becomes_the_program_with_its_signals_as_they_were(tmp_path: Path) -> None:
    async with processes.child(
        ["grep", "-E", "Name|SigIgn", "/proc/self/status"], launcher=fallback(tmp_path)
    ) as process:
        assert process.stdout is not None
        printed = b"".join([chunk async for chunk in process.stdout]).decode()
        assert await process.wait() == 0

    assert "Name:\tgrep" in printed
    ignored = int(printed.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)


async def test_the_fallback_does_not_start_what_has_lost_its_parent(tmp_path: Path) -> None:
    launcher = (*fallback(tmp_path)[:-1], "1")  # the parent it expects is gone; another has taken its place
    async with processes.child(["touch", str(tmp_path / "started")], launcher=launcher) as process:
        assert await process.wait() == 1

    assert not (tmp_path / "started").exists()


PARENT = textwrap.dedent(
    """
    import sys
    import anyio
    from agent_core.base import processes

    async def main():
        launcher = processes.find_launcher(sys.argv[1] or None)
        async with processes.child([sys.executable, "-c", sys.argv[2]], launcher=launcher, stdout=1) as process:
            await process.wait()

    anyio.run(main)
    """
)


@pytest.mark.parametrize("launcher", ["default", "fallback"])
async def test_no_child_outlives_an_agent_that_is_killed(tmp_path: Path, launcher: str) -> None:
    told = tmp_path / "pid"
    program = f"import os; print(os.getpid(), file=open({str(told)!r}, 'w')); {SLEEPER}"
    search_path = str(tmp_path) if launcher == "fallback" else ""
    async with await anyio.open_process(
        [sys.executable, "-c", PARENT, search_path, program], stdout=subprocess.DEVNULL
    ) as parent:
        pid = int(await written(told))
        assert is_alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
        await gone(pid)


async def test_a_child_may_start_in_another_folder(tmp_path: Path) -> None:
    async with processes.child(
        [sys.executable, "-c", "import os; print(os.getcwd())"], cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).decode().strip() == str(tmp_path.resolve())


async def test_a_program_by_a_relative_path_is_found_from_where_we_are(tmp_path: Path) -> None:
    relative = os.path.relpath(sys.executable)
    async with processes.child([relative, "-c", "pass"], cwd=tmp_path) as process:
        assert await process.wait() == 0


async def test_no_child_gets_the_agents_settings_or_what_systemd_gave_to_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {
        "CAMERA_AGENT__MEDIA_SERVER__PASSWORD": "hidden",
        "CAMERA_AGENT_TOKEN": "hidden",
        "NOTIFY_SOCKET": "hidden",
        "WATCHDOG_USEC": "hidden",
        "LISTEN_FDS": "hidden",
        "CREDENTIALS_DIRECTORY": "hidden",
    }
    for name, value in {**ours, "HTTP_PROXY": "kept"}.items():
        monkeypatch.setenv(name, value)
    told = [await processes.run(["env"])]
    async with processes.child(["env"], env={**os.environ, "EXTRA": "kept"}) as process:
        assert process.stdout is not None
        given = b"".join([chunk async for chunk in process.stdout])
    assert [b"hidden" in told[0].stdout, b"hidden" in given] == [False, False]
    assert [b"HTTP_PROXY=kept" in told[0].stdout, b"EXTRA=kept" in given] == [True, True]
