"""The commands that talk to an agent."""

import json
import signal
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.abc
import pytest

from agent_core.cli.commands.calls import parse_params
from agent_core.cli.output import bit_rate, duration, one_line, size, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.cli.conftest import Cli, Home
    from tests.conftest import Raw, Talk, ToyAgent


async def test_cameras(announced: "ToyAgent", cli: "Cli") -> None:
    ended = await cli("cameras")
    head, first, second = ended.text.splitlines()
    assert head.split() == ["DEVICE", "NAME", "STATUS", "RESOLUTION", "FPS"]
    assert first.split() == ["camera0", "Front", "door", "CONNECTED", "640x480", "15.0"]
    assert "\x1b" not in second
    assert (await cli("cameras", "--json")).value["total"] == 2
    announced.cameras.clear()
    assert "No cameras." in (await cli("cameras")).text


async def test_a_snapshot_is_the_file_of_the_agent(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    ended = await cli("snapshot", "camera0", "-o", "a.jpg", "--quality", "80", "--max-age-ms", "0")
    stored = (announced.snapshots / "camera0/a b.jpg").read_bytes()
    assert ended.code == 0, ended.err
    assert (home.path / "a.jpg").read_bytes() == stored
    assert ended.text.startswith("a.jpg: camera0, 640x480, 102 kB, 12 ms old")
    assert announced.asked == [{"device": "camera0", "format": "jpg", "quality": 80, "max_age_ms": 0}]
    assert (await cli("snapshot", "camera0", "-o", "-")).out == stored


async def test_a_snapshot_as_json_has_the_result_and_the_file(announced: "ToyAgent", cli: "Cli") -> None:
    ended = await cli("snapshot", "camera0", "-o", "a.png", "--json")
    assert ended.value["output"] == "a.png"
    assert ended.value["format"] == "png"


async def test_an_unknown_camera_leaves_no_file(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    ended = await cli("snapshot", "camera7", "-o", "a.jpg", "--json")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.error["code"] == -32010
    assert ended.error["data"]["id"] == "camera7"
    assert not (home.path / "a.jpg").exists()


@pytest.mark.parametrize("target", ["a.jpg", "-"])
async def test_a_download_that_breaks_off_leaves_the_old_file(
    announced: "ToyAgent", cut_off: "Raw", cli: "Cli", home: "Home", target: str
) -> None:
    announced.snapshot_url = cut_off.http
    (home.path / "a.jpg").write_bytes(b"old")
    ended = await cli("snapshot", "camera0", "-o", target)
    assert (ended.code, ended.out) == (1, b"")
    assert "broke off" in ended.lines[0]
    assert (home.path / "a.jpg").read_bytes() == b"old"
    assert not list(home.path.glob(".partial-*"))


async def test_a_file_shorter_than_said_is_not_stored(
    announced: "ToyAgent", cli: "Cli", home: "Home"
) -> None:
    announced.snapshot_size = 7
    ended = await cli("snapshot", "camera0", "-o", "a.jpg")
    assert ended.code == 1
    assert "instead of 7" in ended.lines[0]
    assert not (home.path / "a.jpg").exists()


async def test_a_link_that_is_no_longer_valid_is_code_4(announced: "ToyAgent", cli: "Cli") -> None:
    announced.snapshot_url = "/files/snapshots/camera0/a.jpg?expires=1&sig=x"
    ended = await cli("snapshot", "camera0", "-o", "a.jpg")
    assert ended.code == 4
    assert "link" in ended.lines[0]


async def test_a_target_that_cannot_be_written_is_said(announced: "ToyAgent", cli: "Cli") -> None:
    name = "x" * 300 + ".jpg"
    ended = await cli("snapshot", "camera0", "-o", "/proc/a.jpg")
    assert ended.code == 1
    assert "/proc/a.jpg could not be written" in ended.lines[0]
    assert (await cli("snapshot", "camera0", "-o", name)).code in {1, 2}


async def test_call_prints_the_result(announced: "ToyAgent", cli: "Cli") -> None:
    assert (await cli("call", "ping")).text == '"pong"\n'
    ended = await cli("call", "echo", "text=two words", "number=1.5", "--json")
    assert ended.value == {"text": "two words", "number": 1.5}
    assert len(ended.text.splitlines()) == 1


async def test_an_error_of_the_agent_is_code_1_in_two_lines(announced: "ToyAgent", cli: "Cli") -> None:
    ended = await cli("call", "break")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.lines == ("camera-agent: No picture came.", "What to do: Look at it.")
    told = await cli("call", "break", "--json")
    assert (told.code, told.error["code"], told.error["message"]) == (1, -32050, "Dependency failed")
    unknown = await cli("call", "pong", "--json")
    assert (unknown.code, unknown.error["code"]) == (1, -32601)


async def test_a_connection_lost_during_a_call_is_code_3(
    raw: "Callable[[Talk], AbstractAsyncContextManager[Raw]]", announced: "ToyAgent", cli: "Cli"
) -> None:
    host, port = "127.0.0.1", int(announced.url.rpartition(":")[2].removesuffix("/ws"))

    async def relay_until_waiting(stream: anyio.abc.SocketStream) -> None:
        async def pump(source: anyio.abc.ByteReceiveStream, sink: anyio.abc.ByteSendStream) -> None:
            async for chunk in source:
                await sink.send(chunk)

        async with await anyio.connect_tcp(host, port) as agent, anyio.create_task_group() as tasks:
            tasks.start_soon(pump, stream, agent)
            tasks.start_soon(pump, agent, stream)
            await announced.waiting.wait()
            tasks.cancel_scope.cancel()

    async with raw(relay_until_waiting) as relay:
        ended = await cli("call", "wait", "--url", relay.url)
    assert (ended.code, ended.out) == (3, b"")
    assert "connection to the agent was lost" in ended.lines[0]


async def test_events_are_printed_as_they_come(announced: "ToyAgent", cli: "Cli") -> None:
    ended = []

    async def follow(*options: str) -> None:
        ended.append(await cli("events", "camera.connected", "--count", "2", *options))

    for options in (["--json"], []):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, *options)
            with anyio.fail_after(20):
                while not announced.subscribed():
                    await anyio.sleep(0.01)
            announced.bus.publish("camera.connected", {"device": "camera0", "timestamp": "T", "streams": {}})
            announced.bus.publish("camera.connected", {"device": "camera1", "timestamp": "T"})
        with anyio.fail_after(20):
            while announced.subscribed():
                await anyio.sleep(0.01)
    as_json, for_people = ended
    seen = [json.loads(line) for line in as_json.text.splitlines()]
    assert [(event["topic"], event["params"]["device"]) for event in seen] == [
        ("camera.connected", "camera0"),
        ("camera.connected", "camera1"),
    ]
    assert for_people.text.splitlines()[0] == "T camera.connected device=camera0"


async def test_events_go_on_when_the_token_has_expired(
    announced: "ToyAgent", cli: "Cli", home: "Home"
) -> None:
    file = home.path / "token"
    file.write_text(announced.token())
    ended = []

    async def follow() -> None:
        ended.append(await cli("events", "camera.connected", "--count", "1", "--token-file", "token"))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            while not announced.subscribed():
                await anyio.sleep(0.01)
            file.write_text(announced.token(lifetime_s=86_400))
            announced.clock.step_wall_clock(3600)
            while not ended:  # what comes while it is not authenticated is not delivered
                announced.bus.publish("camera.connected", {"device": "camera0"})
                await anyio.sleep(0.05)
    assert (ended[0].code, ended[0].text) == (0, "camera.connected device=camera0\n"), ended[0].err


async def test_an_unknown_topic_is_code_1(announced: "ToyAgent", cli: "Cli") -> None:
    ended = await cli("events", "weather")
    assert ended.code == 1
    assert "Unknown topic" in ended.lines[0]


async def test_no_token_is_in_any_output(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    token = announced.token()
    env = {"CAMERA_AGENT_TOKEN": token}
    secret = (announced.state_dir / "secret").read_text().strip()
    for arguments in (
        ["cameras"],
        ["call", "break"],
        ["check-config"],
        ["snapshot", "camera0", "-o", "a.jpg"],
    ):
        ended = await cli(*arguments, env=env)
        everything = ended.text + ended.err
        assert everything
        assert token not in everything
        assert secret not in everything


def test_values_are_json_where_they_read_as_json() -> None:
    words = [
        "a=1",
        "b=true",
        'c={"d": []}',
        "e=camera0",
        "f=",
        "g=x=y",
        "h=NaN",
        'i="1"',
        "j=null",
        "k=1e400",
    ]
    assert parse_params(words) == {
        "a": 1,
        "b": True,
        "c": {"d": []},
        "e": "camera0",
        "f": "",
        "g": "x=y",
        "h": "NaN",
        "k": "1e400",
        "i": "1",
        "j": None,
    }


def test_what_people_read_stays_on_its_line() -> None:
    assert one_line("a\n\x1b[2Jb\t c\u202e") == "a [2Jb c"
    assert table(("A", "LONG"), [("x\ny", 1)]) == ["A    LONG", "x y  1"]
    assert [size(999), size(12_345), size(2_500_000)] == ["999 bytes", "12 kB", "2.5 MB"]
    assert size(4_321_000_000) == "4.32 GB"
    assert [duration(each) for each in (0.04, 59.96, 3725.4)] == ["0.0 s", "1:00 min", "1:02:05"]
    assert [bit_rate(0, 0), bit_rate(999, 1), bit_rate(500_000, 1)] == ["0 kbit/s", "8 kbit/s", "4.0 Mbit/s"]


async def test_ctrl_c_ends_without_a_word(announced: "ToyAgent", home: "Home") -> None:
    command = [sys.executable, "-m", "agent_core", "events"]
    with anyio.fail_after(20):
        async with await anyio.open_process(command, env=home.environment(), cwd=home.path) as process:
            while not announced.subscribed():
                await anyio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
            assert process.stderr is not None
            assert [chunk async for chunk in process.stderr] == []
