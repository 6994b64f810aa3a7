"""Commands of a fleet as processes, at a real Mosquitto, with agents that the test plays."""

import json
import os
import re
import stat
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing.waiting import eventually
from mqtt_bridge.client import FleetClient, agent_key, key_id

from .fleet_boxes import FLEET_KEY, Received, running_box
from .mosquitto import Mosquitto, running_mosquitto

JPEG = b"\xff\xd8 a picture \xff\xd9"
CAPTURED = "2026-11-22T17:03:54.120Z"
CAMERAS = {
    "cameras": [
        {"device": "camera0", "status": "CONNECTED"},
        {"device": "camera1", "status": "DISCONNECTED"},
        {"device": "camera2", "status": "CONNECTED"},
    ]
}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as one JSON value per line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Fleet:
    """Command line beside a broker, in a folder of its own."""

    broker: Mosquitto
    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / "fleet.key"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "CAMERA_AGENT_MQTT": self.broker.url,
            "CAMERA_AGENT_MQTT_KEY_FILE": str(self.key_file),
            **(more or {}),
        }

    async def run(
        self, *words: str, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
    ) -> Ended:
        command = [*through, sys.executable, "-m", "agent_core", *words]
        with anyio.fail_after(50):
            done = await anyio.run_process(command, check=False, cwd=self.folder, env=self.environment(env))
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_mosquitto(tmp_path / "broker", lines=("set_tcp_nodelay true",)) as broker:
        made = Fleet(broker, tmp_path)
        made.key_file.write_text(f"{FLEET_KEY}\n")
        made.key_file.chmod(0o600)
        yield made


def picture(content: bytes = JPEG, **changes: Any) -> dict[str, Any]:
    return {
        "device": "camera0",
        "content_type": "image/jpeg",
        "size_bytes": len(content),
        "captured_at": CAPTURED,
        "data": b64encode(content).decode(),
        **changes,
    }


async def cameras_and_pictures(call: Received) -> None:
    await call.result(CAMERAS if call.request["method"] == "get_camera_list" else picture())


async def test_list_shows_who_is_there_and_who_was(fleet: Fleet) -> None:
    assert (await fleet.run("fleet", "list")).out == "The broker knows no such agents.\n"
    async with running_box(fleet.broker, "box1", labels={"site": "north", "line": "3"}):
        async with running_box(fleet.broker, "box2"):
            pass
        shown = await fleet.run("fleet", "list")
        assert shown.out.splitlines() == [
            "AGENT  STATE    NAME      VERSION  LABELS",
            "box1   online   The box1  0.1.0    line=3 site=north",
            "box2   offline  The box2  0.1.0",
        ]
        chosen = await fleet.run("fleet", "list", "site=n*", "--json")
        (row,) = json.loads(chosen.out)
        assert (row["agent"], row["state"], row["labels"]["line"]) == ("box1", "online", "3")


async def test_the_broker_is_named_before_or_after_the_command(fleet: Fleet) -> None:
    elsewhere = {"CAMERA_AGENT_MQTT": "mqtt://127.0.0.1:1"}
    async with running_box(fleet.broker, "box1"):
        for words in (
            ("--mqtt", fleet.broker.url, "fleet", "list"),
            ("fleet", "list", "--mqtt", fleet.broker.url),
        ):
            assert "box1" in (await fleet.run(*words, env=elsewhere)).out


async def test_answers_come_one_by_one_with_a_summary(fleet: Fleet) -> None:
    async def refuse(call: Received) -> None:
        await call.error(
            -32010, "Not found", reason="camera_not_found", details="No camera9.", suggestion="Look."
        )

    async with (
        running_box(fleet.broker, "box1") as box,
        running_box(fleet.broker, "box2", refuse),
        running_box(fleet.broker, "other"),
    ):
        async with running_box(fleet.broker, "box3"):
            pass
        told = await fleet.run("fleet", "call", "box*", "echo", "number=1", "text=x")
        assert told.code == 1
        assert box.calls[0].request["params"] == {"number": 1, "text": "x"}
        assert 'box1: {\n  "method": "echo"' in told.out
        assert "box2: No camera9.\n" in told.out
        assert "box3: The agent box3 is offline.\n" in told.out
        assert "other" not in told.out
        assert told.err.splitlines()[:3] == ["1 of 3 agents done.", "Failed: box2.", "No answer: box3."]
        assert "What to do: Look." in told.err
        values = (await fleet.run("fleet", "call", "box*", "echo", "--json")).lines
        *answers, summary = values
        assert summary == {"summary": {"agents": 3, "done": 1, "failed": ["box2"], "unanswered": ["box3"]}}
        by_agent = {each["agent"]: each for each in answers}
        assert by_agent["box1"]["result"]["method"] == "echo"
        assert by_agent["box2"]["error"]["code"] == -32010
        assert by_agent["box3"]["error"]["reason"] == "offline"
        done = await fleet.run("fleet", "call", "box1", "echo")
        assert (done.code, done.err) == (0, "1 of 1 agent done.\n")


async def test_a_deadline_ends_the_wait(fleet: Fleet) -> None:
    async def silent(call: Received) -> None:
        """Answer nothing."""

    async with running_box(fleet.broker, "box1", silent):
        told = await fleet.run("fleet", "call", "all", "ping", "--deadline", "0.3")
    assert (told.code, "did not answer ping within 0.3 s" in told.out) == (1, True)
    assert "No answer: box1." in told.err


@pytest.mark.parametrize(
    ("words", "env", "code", "said"),
    [
        (("fleet", "call", "box9", "ping"), {}, 1, "The broker knows no agent 'box9'."),
        (("fleet", "call", "site=x", "ping"), {}, 1, "No agent matches 'site=x'."),
        (("fleet", "call", "a/b", "ping"), {}, 2, "is not an agent's id"),
        (("fleet", "call", "all", "ping", "x"), {}, 2, "KEY=VALUE"),
        (("fleet", "call", "all", "authenticate"), {}, 2, "carry no tokens"),
        (("fleet", "call", "all", "ping", "--deadline", "0"), {}, 2, "from 0.1 to 3600"),
        (("fleet", "list"), {"CAMERA_AGENT_MQTT": ""}, 2, "No broker is named."),
        (("fleet", "list"), {"CAMERA_AGENT_MQTT": "http://x"}, 2, "begin with mqtt://"),
        (("fleet", "list"), {"CAMERA_AGENT_MQTT": "mqtt://127.0.0.1:1"}, 3, "cannot be reached"),
        (("fleet", "call", "all", "ping"), {"CAMERA_AGENT_MQTT_KEY_FILE": ""}, 2, "No key is given"),
        (("fleet", "call", "all", "ping"), {"CAMERA_AGENT_MQTT_KEY_FILE": "none"}, 1, "no such file"),
        (("fleet", "snapshot", "all"), {}, 2, "--output"),
        (("fleet", "snapshot", "all", "-o", "fleet.key"), {}, 2, "fleet.key is not a folder."),
        (("fleet", "snapshot", "all", "-o", "no/where"), {}, 1, "make the folder no/where"),
        (("fleet", "snapshot", "all", "-o", "x", "--camera", "../x"), {}, 2, "not a camera's name"),
        (("fleet", "agent-key", "a b"), {}, 2, "is not the id of an agent"),
        (("fleet", "new-key", "-o", "fleet.key"), {}, 1, "fleet.key exists"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_said(
    fleet: Fleet, words: tuple[str, ...], env: dict[str, str], code: int, said: str
) -> None:
    ended = await fleet.run(*words, env=env)
    assert (ended.code, ended.out) == (code, "")
    what, todo = ended.err.splitlines()
    assert said in what
    assert todo.startswith("What to do: ")


async def test_a_key_that_others_can_read_is_not_used(fleet: Fleet) -> None:
    fleet.key_file.chmod(0o644)
    ended = await fleet.run("fleet", "call", "all", "ping")
    assert (ended.code, "read or written by all accounts" in ended.err) == (1, True)
    fleet.key_file.chmod(0o600)
    fleet.key_file.write_text("secret-but-no-key")
    ended = await fleet.run("fleet", "call", "all", "ping")
    assert (ended.code, "form mk_" in ended.err, "secret" in ended.err) == (1, True, False)


async def test_pictures_of_all_are_stored_by_one_command(fleet: Fleet) -> None:
    async with (
        running_box(fleet.broker, "box1", cameras_and_pictures) as box,
        running_box(fleet.broker, "box2", cameras_and_pictures),
    ):
        taken = await fleet.run("fleet", "snapshot", "all", "-o", "out", "--width", "320")
        assert (taken.code, taken.err) == (0, "2 of 2 agents done.\n")
        names = [f"{agent}_{camera}_2026-11-22_17-03-54.120Z.jpg" for agent in ("box1", "box2") for camera in ("camera0", "camera2")]  # fmt: skip
        assert sorted(path.name for path in (fleet.folder / "out").iterdir()) == names
        assert sorted(taken.out.splitlines()) == [f"out/{name}" for name in names]
        assert {(fleet.folder / "out" / name).read_bytes() for name in names} == {JPEG}
        asked = [each.request["params"] for each in box.calls if each.request["method"] == "get_picture"]
        assert [(each["device"], each["width"]) for each in asked] == [("camera0", 320), ("camera2", 320)]
        assert "max_bytes" not in asked[0]


async def test_a_picture_has_to_fit_into_a_reply_of_the_agent(fleet: Fleet) -> None:
    limits = {"max_reply_bytes": 100_000}
    async with running_box(fleet.broker, "box1", cameras_and_pictures, limits=limits) as box:
        assert (await fleet.run("fleet", "snapshot", "box1", "-o", "out", "--camera", "camera0")).code == 0
    assert box.calls[0].request["params"]["max_bytes"] == (100_000 - 4096) * 3 // 4


async def test_no_file_is_replaced(fleet: Fleet) -> None:
    out = fleet.folder / "out"
    out.mkdir()
    (out / "box1_camera0_2026-11-22_17-03-54.120Z.jpg").write_text("mine")
    async with running_box(fleet.broker, "box1", cameras_and_pictures):
        taken = await fleet.run("fleet", "snapshot", "box1", "-o", "out", "--camera", "camera0", "--json")
    answer, _ = taken.lines
    (one,) = answer["result"]
    assert one == {
        "device": "camera0",
        "file": "out/box1_camera0_2026-11-22_17-03-54.120Z-2.jpg",
        "size_bytes": len(JPEG),
    }
    assert (out / "box1_camera0_2026-11-22_17-03-54.120Z.jpg").read_text() == "mine"
    assert len(list(out.iterdir())) == 2


async def test_a_picture_that_is_too_large_is_taken_again_as_proposed(fleet: Fleet) -> None:
    async def shrink(call: Received) -> None:
        if "width" in call.request["params"]:
            await call.result(picture())
        else:
            await call.error(
                -32602, "Invalid params", rule="picture_too_large", hint="width=640", details="Too large."
            )

    async with running_box(fleet.broker, "box1", shrink) as box:
        taken = await fleet.run("fleet", "snapshot", "box1", "-o", "out", "--camera", "camera0")
    assert taken.code == 0
    assert box.calls[1].request["params"]["width"] == 640


@asynccontextmanager
async def boxes_that_answer(fleet: Fleet, answers: Sequence[tuple[Any, Any]]) -> AsyncIterator[None]:
    """Run one box for each pair of answers: to `get_camera_list`, and to all other calls."""
    async with AsyncExitStack() as boxes:
        for number, (cameras, other) in enumerate(answers):

            async def answer(call: Received, cameras: Any = cameras, other: Any = other) -> None:
                await call.result(cameras if call.request["method"] == "get_camera_list" else other)

            await boxes.enter_async_context(running_box(fleet.broker, f"box{number}", answer))
        yield


async def test_names_from_an_agent_lead_nowhere(fleet: Fleet) -> None:
    lists = [
        {"cameras": [{"device": "../../escape", "status": "CONNECTED"}]},
        {"cameras": [{"device": "camera0/../x", "status": "CONNECTED"}]},
        {"cameras": [{"device": "/etc/passwd", "status": "CONNECTED"}]},
        {"cameras": "many"},
        None,
    ]
    before = {path for path in fleet.folder.rglob("*") if "broker" not in path.parts}
    async with boxes_that_answer(fleet, [(each, picture()) for each in lists]):
        told = await fleet.run("fleet", "snapshot", "all", "-o", "out")
    after = {path for path in fleet.folder.rglob("*") if "broker" not in path.parts}
    assert after - before == {fleet.folder / "out"}
    assert told.code == 1
    assert told.out.count("no camera is connected") == 3
    assert told.out.count("unknown form") == 2


async def test_odd_pictures_are_not_stored_and_disturb_no_other(fleet: Fleet) -> None:
    odd = [
        picture(captured_at="../../x"),
        picture(captured_at="2026-11-22T17:03:54"),
        picture(captured_at="0001-01-01T00:00:00+14:00"),
        picture(content_type="text/html"),
        picture(data="%%%"),
        picture(size_bytes=3),
        picture(b""),
        picture(JPEG + b"x" * 700_000),
        {},
        "x",
    ]
    async with boxes_that_answer(fleet, [(CAMERAS, each) for each in (*odd, picture())]):
        told = await fleet.run("fleet", "snapshot", "all", "-o", "out", "--camera", "camera0")
    assert (told.code, told.out.count("unknown form")) == (1, len(odd))
    assert [path.name.split("_")[0] for path in (fleet.folder / "out").iterdir()] == [f"box{len(odd)}"]


async def test_a_camera_that_fails_is_named_and_the_others_are_stored(fleet: Fleet) -> None:
    async def one_fails(call: Received) -> None:
        if call.request["params"].get("device") == "camera0":
            await call.error(-32020, "Capture failed", reason="no_picture", details="No picture.")
        else:
            await cameras_and_pictures(call)

    async with running_box(fleet.broker, "box1", one_fails):
        told = await fleet.run("fleet", "snapshot", "box1", "-o", "out")
    assert (told.code, told.out.splitlines()[0]) == (1, "box1: camera0: No picture.")
    assert "Failed: box1." in told.err
    assert [path.name[:12] for path in (fleet.folder / "out").iterdir()] == ["box1_camera2"]


async def test_pictures_that_cannot_be_stored_are_told_for_each_agent(fleet: Fleet) -> None:
    no_room = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
    async with (
        running_box(fleet.broker, "box1", cameras_and_pictures),
        running_box(fleet.broker, "box2", cameras_and_pictures),
    ):
        told = await fleet.run("fleet", "snapshot", "all", "-o", "out", through=no_room)
    assert (told.code, told.out.count("Could not store a picture in out")) == (1, 4)
    assert "Failed: box1, box2." in told.err
    assert list((fleet.folder / "out").iterdir()) == []


async def test_events_are_printed_as_they_come_with_their_gaps(fleet: Fleet) -> None:
    async with running_box(fleet.broker, "box1", labels={"site": "north"}) as box:
        words = ("fleet", "watch", "site=north", "--topic", "camera.connected", "--count", "2", "--json")
        command = [sys.executable, "-m", "agent_core", *words]
        process = await anyio.open_process(command, cwd=fleet.folder, env=fleet.environment(), stderr=None)
        async with process:

            async def is_watching() -> bool:
                return bool(
                    re.search(r"Received SUBSCRIBE.*\n.*camera-agent/\+/(status|events)", fleet.broker.log)
                )

            await eventually(is_watching)
            await box.event("camera.connected", 1, device="camera0")
            await box.event("snapshot.taken", 2)
            await box.event("camera.connected", 6, device="camera1")
            assert process.stdout is not None
            out = b"".join([each async for each in process.stdout])
            assert await process.wait() == 0
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["agent"], first["params"], first["missed"]) == ("box1", {"device": "camera0"}, 0)
    assert (second["sequence"], second["missed"]) == (6, 3)


async def test_a_new_key_is_its_owners_alone_and_makes_those_of_agents(fleet: Fleet) -> None:
    made = await fleet.run("fleet", "new-key", "-o", "new.key")
    path = fleet.folder / "new.key"
    assert (made.code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    key = path.read_text().strip()
    assert key not in made.out + made.err
    told = await fleet.run("fleet", "agent-key", "box1", "--mqtt-key-file", "new.key", "--json")
    assert json.loads(told.out) == {
        "agent": "box1",
        "key": agent_key(key, "box1"),
        "id": key_id(agent_key(key, "box1")),
    }


async def test_the_program_in_the_document_runs(fleet: Fleet) -> None:
    text = (Path(__file__).parents[3] / "docs/fleet-client.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {}
    exec(compile(source, "docs/fleet-client.md", "exec"), scope)  # noqa: S102 - our own document

    async def count(call: Received) -> None:
        await call.result({"cameras": [], "connected": 3})

    async with running_box(fleet.broker, "box1", count, labels={"site": "north"}):
        assert await scope["look_at_the_north"](fleet.broker.url, FLEET_KEY) == {"box1": 3}
    assert scope["FleetClient"] is FleetClient
