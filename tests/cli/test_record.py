"""`record`, `recordings` and `streams` on an agent that a test drives."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import Process

from agent_core.api.schema.params import DeviceParams, ListParams, NameParams, NoParams
from agent_core.api.schema.recordings import StartRecordingParams
from agent_core.auth.roles import Role
from agent_core.base.errors import AgentError, CaptureFailed, DependencyFailed, InvalidState, NotFound
from agent_core.base.models import CameraId
from agent_core.cli.output import Progress
from agent_core.media.fmp4 import segment_duration_s
from agent_core.recordings.models import RecordingFormat
from agent_core.rpc.table import Method
from tests.media.files import H264, half_second_parts, make, source

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.cli.conftest import Cli, Ended, Home
    from tests.conftest import ToyAgent

ID = "camera0_2026-11-22_17-03-54Z"
SEGMENTS = (
    {"filename": "a.mp4", "file_size": 1_000_000, "duration": 2.0},
    {"filename": "b.mp4", "file_size": 500, "duration": 0.5},
)


@dataclass
class Recording:
    """At most one recording. `problem` is what a start that waits raises, `answering` delays every stop."""

    toy: "ToyAgent"
    segments: tuple[dict[str, Any], ...] = SEGMENTS
    reason: str | None = None
    problem: AgentError | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    is_active: bool = False
    started: anyio.Event = field(default_factory=anyio.Event)
    going_on: anyio.Event = field(default_factory=anyio.Event)
    stopping: anyio.Event = field(default_factory=anyio.Event)
    answering: anyio.Event = field(default_factory=anyio.Event)

    async def start(self, params: StartRecordingParams, _caller: object) -> object:
        self.asked.append(params.model_dump(exclude_none=True))
        if self.is_active:
            raise InvalidState("It is recording.", state="RECORDING", allowed_states=("IDLE",))
        self.is_active = True
        self.started.set()
        if params.wait:
            await self.going_on.wait()
        if self.problem is not None:
            raise self.problem
        return {"device": "camera0", "filename": ID, "status": "RECORDING"}

    async def stop(self, _params: object, _caller: object) -> object:
        self.stopping.set()
        await self.answering.wait()
        if not self.is_active:
            raise InvalidState(
                "It is not recording.", state="IDLE", allowed_states=("RECORDING",), reason="not_recording"
            )
        self.end()
        return self.form()

    def end(self) -> None:
        self.is_active = False
        self.toy.bus.publish("recording.stop", {"device": "camera0", "filename": ID, "status": "STOPPED"})

    async def info(self, params: NameParams, _caller: object) -> object:
        self.looks += 1
        if params.filename != ID:
            raise NotFound("There is no such recording.", resource="recording", id=params.filename)
        return self.form()

    def form(self) -> dict[str, Any]:
        return {
            "filename": ID,
            "device": "camera0",
            "file_size": sum(each["file_size"] for each in self.segments),
            "duration": sum(each["duration"] for each in self.segments),
            "complete": not self.is_active,
            "segments": self.segments,
            **({"reason": self.reason} if self.reason else {}),
        }


@pytest.fixture
def recording(announced: "ToyAgent") -> Recording:
    made = Recording(announced)
    made.answering.set()
    rows: list[tuple[str, type[BaseModel], Any]] = [
        ("start_recording", StartRecordingParams, made.start),
        ("stop_recording", DeviceParams, made.stop),
        ("get_recording_info", NameParams, made.info),
    ]
    for name, params, handler in rows:
        announced.table.add(
            Method(name, Role.OPERATOR, name, params, Any, handler, errors=(InvalidState, DependencyFailed))
        )
    return made


@asynccontextmanager
async def running(cli: "Cli", *arguments: str) -> AsyncIterator[list["Ended"]]:
    """`cli` in the background; what it ended with is in the list after the context."""
    ended: list[Ended] = []

    async def run() -> None:
        ended.append(await cli(*arguments))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield ended


@asynccontextmanager
async def waiting(home: "Home", *options: str) -> AsyncIterator[Process]:
    """`record start camera0 --wait` as a process to send signals to."""
    command = [sys.executable, "-m", "agent_core", "record", "start", "camera0", "--wait", *options]
    with anyio.fail_after(30):
        async with await anyio.open_process(command, env=home.environment(), cwd=home.path) as process:
            yield process


async def output(process: Process) -> tuple[str, str]:
    async def read(stream: anyio.abc.ByteReceiveStream | None) -> str:
        assert stream is not None
        return b"".join([chunk async for chunk in stream]).decode()

    return await read(process.stdout), await read(process.stderr)


async def looked(recording: Recording, times: int = 1) -> None:
    with anyio.fail_after(20):
        while recording.looks < times:
            await anyio.sleep(0.01)


async def test_start_prints_the_id_and_returns(recording: Recording, cli: "Cli") -> None:
    ended = await cli("record", "start", "camera0", "--duration", "5", "--format", "mpegts")
    assert (ended.code, ended.text, ended.err) == (0, f"{ID}\n", "")
    assert recording.asked == [{"device": "camera0", "duration": 5, "format": "mpegts", "wait": False}]
    assert recording.is_active


async def test_a_second_start_is_refused_and_stops_nothing(recording: Recording, cli: "Cli") -> None:
    recording.is_active = True
    for options in ([], ["--wait"]):
        ended = await cli("record", "start", "camera0", *options, "--json")
        assert (ended.code, ended.out, ended.error["code"]) == (1, b"", -32020)
    assert recording.is_active


@pytest.mark.parametrize("as_json", [False, True])
async def test_wait_stays_until_the_recording_has_stopped(
    recording: Recording, cli: "Cli", as_json: bool
) -> None:
    recording.going_on.set()
    options = ["--json"] if as_json else []
    async with running(cli, "record", "start", "camera0", "--duration", "2", "--wait", *options) as ended:
        await looked(recording)
        assert not ended
        recording.end()
    (done,) = ended
    assert (done.code, done.err) == (0, "")
    if as_json:
        assert done.value["segments"] == list(SEGMENTS)
    else:
        assert done.text.splitlines() == [f"{ID}/a.mp4: 2.0 s, 1.0 MB", f"{ID}/b.mp4: 0.5 s, 500 bytes"]


async def test_a_missed_event_does_not_keep_it_waiting(recording: Recording, cli: "Cli") -> None:
    recording.going_on.set()
    async with running(cli, "record", "start", "camera0", "--wait") as ended:
        await looked(recording)
        recording.is_active = False
    assert ended[0].code == 0


async def test_nothing_recorded_is_code_1_with_the_reason(recording: Recording, cli: "Cli") -> None:
    recording.segments, recording.reason = (), "stream_failed"
    recording.going_on.set()
    async with running(cli, "record", "start", "camera0", "--wait") as ended:
        await looked(recording)
        recording.end()
    recording.is_active = True
    stopped = await cli("record", "stop", "camera0")
    for done in (ended[0], stopped):
        assert (done.code, done.out) == (1, b"")
        assert f"{ID} has no picture: stream_failed" in done.lines[0]


async def test_a_recording_without_its_end_says_why(recording: Recording, cli: "Cli") -> None:
    recording.is_active, recording.reason = True, "disk_full"
    stopped = await cli("record", "stop", "camera0")
    assert stopped.code == 0
    assert stopped.out.startswith(f"{ID}/a.mp4: ".encode())
    assert stopped.err == f"The recording {ID} is not complete: disk_full.\n"


async def test_a_start_that_fails_later_is_told_in_the_agents_words(recording: Recording, cli: "Cli") -> None:
    recording.problem = CaptureFailed("The lens is on fire.", suggestion="Put it out.")
    recording.going_on.set()
    ended = await cli("record", "start", "camera0", "--wait")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.lines == ("camera-agent: The lens is on fire.", "What to do: Put it out.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_stops_the_recording(recording: Recording, home: "Home", number: signal.Signals) -> None:
    recording.going_on.set()
    async with waiting(home) as process:
        await looked(recording)
        process.send_signal(number)
        out, err = await output(process)
        assert (await process.wait(), err) == (0, "")
    assert f"{ID}/a.mp4: 2.0 s" in out
    assert not recording.is_active


async def test_a_recording_cut_short_is_printed_and_code_130(recording: Recording, home: "Home") -> None:
    recording.going_on.set()
    async with waiting(home, "--duration", "60") as process:
        await looked(recording)
        process.send_signal(signal.SIGINT)
        out, _ = await output(process)
        assert await process.wait() == 130
    assert f"{ID}/a.mp4: 2.0 s" in out
    assert not recording.is_active


async def test_ctrl_c_before_the_first_picture_stops_too(recording: Recording, home: "Home") -> None:
    recording.segments = ()
    async with waiting(home) as process:
        with anyio.fail_after(20):
            await recording.started.wait()
        process.send_signal(signal.SIGINT)
        _, err = await output(process)
        assert await process.wait() == 1
    assert "has no picture" in err
    assert not recording.is_active


async def test_ctrl_c_when_there_is_nothing_to_stop_ends_without_a_word(
    recording: Recording, home: "Home"
) -> None:
    async with waiting(home) as process:
        with anyio.fail_after(20):
            await recording.started.wait()
        recording.is_active = False
        process.send_signal(signal.SIGINT)
        assert await output(process) == ("", "")
        assert await process.wait() == 130


async def test_a_second_ctrl_c_leaves(recording: Recording, home: "Home") -> None:
    recording.going_on.set()
    recording.answering = anyio.Event()
    async with waiting(home) as process:
        await looked(recording)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            await recording.stopping.wait()
        process.send_signal(signal.SIGINT)
        assert await output(process) == ("", "")
        assert await process.wait() == 130


async def test_waiting_outlives_the_token(recording: Recording, cli: "Cli", home: "Home") -> None:
    recording.going_on.set()
    file = home.path / "token"
    file.write_text(recording.toy.token())
    async with running(cli, "record", "start", "camera0", "--wait", "--token-file", "token") as ended:
        await looked(recording)
        file.write_text(recording.toy.token(lifetime_s=86_400))
        recording.toy.clock.step_wall_clock(3600)
        await looked(recording, recording.looks + 2)
        recording.end()
    assert ended[0].code == 0, ended[0].err


async def test_an_expired_token_without_another_is_code_4(
    recording: Recording, cli: "Cli", home: "Home"
) -> None:
    recording.going_on.set()
    (home.path / "token").write_text(recording.toy.token())
    async with running(cli, "record", "start", "camera0", "--wait", "--token-file", "token") as ended:
        await looked(recording)
        recording.toy.clock.step_wall_clock(3600)
    assert ended[0].code == 4
    assert "expired" in ended[0].lines[0]


async def test_stop_prints_the_files(recording: Recording, cli: "Cli") -> None:
    recording.is_active = True
    assert (await cli("record", "stop", "camera0")).text.startswith(f"{ID}/a.mp4: 2.0 s, 1.0 MB\n")
    ended = await cli("record", "stop", "camera0")
    assert (ended.code, ended.lines[0]) == (1, "camera-agent: It is not recording.")


# Recordings.


async def test_recordings_are_listed(announced: "ToyAgent", cli: "Cli") -> None:
    files = [{"filename": ID, "duration": 65.2, "file_size": 2_400_000, "format": "fmp4"}]
    asked = []

    async def answer(params: ListParams, _caller: object) -> object:
        asked.append((params.device, params.limit))
        return {"files": files, "total": len(files) and 3}

    announced.table.add(Method("list_recordings", Role.VIEWER, "list", ListParams, Any, answer))
    head, row, more = (await cli("recordings", "--device", "camera0", "--limit", "1")).text.splitlines()
    assert head.split() == ["RECORDING", "DURATION", "SIZE", "FORMAT"]
    assert row.split() == [ID, "1:05", "min", "2.4", "MB", "fmp4"]
    assert more.startswith("1 of 3")
    assert (await cli("recordings", "--json")).value["files"] == files
    files.clear()
    assert "No recordings." in (await cli("recordings")).text
    assert asked == [("camera0", 1), (None, 50), (None, 50)]


def stored(toy: "ToyAgent", *names: str) -> str:
    """The id of a recording whose segments hold their own names."""
    note = toy.recordings.create(CameraId("camera0"), RecordingFormat.FMP4, datetime(2026, 1, 1, tzinfo=UTC))
    for name in names:
        (toy.recordings.root / "camera0" / note.id / name).write_text(name)
    return note.id


async def test_all_files_of_a_recording_that_cannot_be_joined_are_downloaded(
    announced: "ToyAgent", cli: "Cli", home: "Home"
) -> None:
    name = stored(announced, "1.mp4", "2.mp4", "3.mp4")
    ended = await cli("recordings", "get", name, "-o", "a.mp4")
    assert ended.code == 0, ended.err
    assert ended.text.splitlines() == ["a.mp4: 5 bytes", "a-2.mp4: 5 bytes", "a-3.mp4: 5 bytes"]
    found = {path.name: path.read_text() for path in home.path.glob("*.mp4")}
    assert found == {"a.mp4": "1.mp4", "a-2.mp4": "2.mp4", "a-3.mp4": "3.mp4"}
    told = await cli("recordings", "get", name, "-o", "b", "--json")
    assert [each["output"] for each in told.value["files"]] == ["b", "b-2", "b-3"]


async def test_a_recording_in_fmp4_becomes_one_file(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    name = stored(announced, "1.mp4", "2.mp4")
    for each in ("1.mp4", "2.mp4"):
        await half_second_parts(announced.recordings.root / "camera0" / name / each, duration_s=2)
    ended = await cli("recordings", "get", name, "-o", "a.mp4", "--json")
    assert [each["output"] for each in ended.value["files"]] == ["a.mp4"]
    assert [path.name for path in home.path.glob("*.mp4")] == ["a.mp4"]
    assert segment_duration_s(home.path / "a.mp4") == pytest.approx(4.0, abs=0.001)


async def test_segments_that_differ_become_files_of_their_own(
    announced: "ToyAgent", cli: "Cli", home: "Home"
) -> None:
    name = stored(announced, "1.mp4", "2.mp4")
    folder = announced.recordings.root / "camera0" / name
    await half_second_parts(folder / "1.mp4", duration_s=1)
    await make(folder / "2.mp4", *source(10, 1, size="320x240"), *H264, "-g", "5")
    ended = await cli("recordings", "get", name, "-o", "a.mp4")
    assert ended.code == 0, ended.err
    found = {path.name: path.read_bytes() for path in home.path.glob("*.mp4")}
    assert found == {"a.mp4": (folder / "1.mp4").read_bytes(), "a-2.mp4": (folder / "2.mp4").read_bytes()}


async def test_a_segment_can_be_named(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    name = stored(announced, "1.mp4", "2.mp4")
    assert (await cli("recordings", "get", f"{name}/2.mp4", "-o", "a.mp4")).code == 0
    assert [path.name for path in home.path.glob("*.mp4")] == ["a.mp4"]


async def test_a_folder_in_the_way_of_a_further_file_is_said(
    announced: "ToyAgent", cli: "Cli", home: "Home"
) -> None:
    (home.path / "a-2.mp4").mkdir()
    ended = await cli("recordings", "get", stored(announced, "1.mp4", "2.mp4"), "-o", "a.mp4")
    assert ended.code == 2
    assert "a-2.mp4 is not a file" in ended.lines[0]


async def test_an_unknown_recording_leaves_no_file(announced: "ToyAgent", cli: "Cli", home: "Home") -> None:
    for name in (stored(announced), "camera0_x", "../secret"):
        ended = await cli("recordings", "get", name, "-o", "a.mp4")
        assert (ended.code, ended.out) == (1, b"")
        assert ended.lines
    assert not list(home.path.glob("*.mp4"))
    assert not list(home.path.glob(".partial-*"))


# Streams.


async def test_streams_have_their_addresses(announced: "ToyAgent", cli: "Cli") -> None:
    live = {"name": "camera0", "source": "rtspSession", "ready": True, "readers": 2, "bytes_sent": 1_500_000}
    other = {"name": "door", "source": "publisher", "ready": False, "readers": 0, "bytes_sent": 0}

    async def offer(params: DeviceParams, _caller: object) -> object:
        if params.device == "camera1":
            raise CaptureFailed("It is not there.", reason="camera_disconnected")
        return {}

    async def every(_params: object, _caller: object) -> object:
        return [live, other]

    announced.table.add(
        Method("get_stream_url", Role.VIEWER, "url", DeviceParams, Any, offer, errors=(DependencyFailed,))
    )
    announced.table.add(Method("get_streams", Role.VIEWER, "all", NoParams, Any, every))
    for camera in announced.cameras:
        camera["stream_url"] = f"rtsp://127.0.0.1:8554/{camera['device']}"
    rows = [row.split() for row in (await cli("streams")).text.splitlines()]
    assert rows == [
        ["STREAM", "STATE", "VIEWERS", "SENT", "ADDRESS"],
        ["camera0", "live", "2", "1.5", "MB", "rtsp://127.0.0.1:8554/camera0"],
        ["door", "on", "demand", "0", "0", "bytes"],
        ["camera1", "camera_disconnected", "0", "0", "bytes", "rtsp://127.0.0.1:8554/camera1"],
    ]
    told = (await cli("streams", "--json")).value["streams"]
    assert told[0] == {**live, "stream_url": "rtsp://127.0.0.1:8554/camera0"}


# The line that tells how far it is.


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    terminal = Terminal()
    progress = Progress(terminal)
    progress.clear()
    progress.show("one")
    progress.show("a line that is too long")
    progress.clear()
    progress.clear()
    assert terminal.getvalue() == "\rone\x1b[K\ra line th\x1b[K\r\x1b[K"


def test_progress_is_a_line_now_and_then_elsewhere() -> None:
    now_s, log = 0.0, StringIO()
    progress = Progress(log, now_s=lambda: now_s)
    for now_s in (0.0, 4.9, 5.0, 6.0, 11.0):
        progress.show(f"at {now_s}")
    progress.clear()
    assert log.getvalue() == "at 5.0\nat 11.0\n"


def test_progress_can_be_silent() -> None:
    progress = Progress(None)
    progress.show("nothing")
    progress.clear()
