"""Hostile names for every method and URL that takes one: nothing outside the media folders is read, written or deleted.

Methods and their parameters come from `rpc.discover`, so that a new method is covered by itself.
"""

import ctypes
import hashlib
import json
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from websockets.asyncio.client import connect

from agent_core.testing import RunningAgent, running_agent
from tests.canary import CANARY

KEPT = "keep.jpg"
RECORDING = "camera0_2026-11-22_17-03-54Z"
CONFIG = {
    "auth": {"calls_per_s": 100_000, "calls_burst": 100_000},
    "server": {"max_message_bytes": 1 << 22},
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier", "external_discovery"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
    },
}
#: OUT is the folder outside, by its absolute path.
NAMES = (
    # Traversal, absolute names, and what a second decoding would make of escapes.
    "..", ".", "/", "//", "../..", "../secret", "../../outside/private", "../../outside/", "OUT/private", "/OUT/private",
    "camera0/../../secret", "camera0/../../../outside/private", "camera0/..", "camera0/../camera0/keep.jpg",
    "..\\secret", "..\\..\\outside\\private", "camera0\\keep.jpg", "..%5csecret", "..%2fsecret", "%2e%2e/secret",
    "%2e%2e%2fsecret", "%252e%252e%252fsecret", "..%c0%afsecret", "..;/secret", "....//secret", "\uff0e\uff0e/secret",
    "..\u2215secret", "..\uff0fsecret", "..\u2044secret", "file:///etc/passwd", "file:OUT/private", "C:\\secret", "~/x",
    # Other spellings of a file that is there.
    "camera0//keep.jpg", "camera0/./keep.jpg", "/camera0/keep.jpg", "camera0/keep.jpg/", "camera0/keep.jpg/.",
    "camera0/keep.jpg ", " camera0/keep.jpg", "camera0/keep.jpg.", "camera0/keep.jpg\n", "camera0/keep.jpg\0", "camera0/keep\0.jpg",
    "camera0/KEEP.jpg", "CAMERA0/keep.jpg", "camera0 /keep.jpg", "camera00/keep.jpg", "camera\u0660/keep.jpg",
    "camera0/keep.jpg::$DATA", "camera0%2fkeep.jpg", "camera0/%6beep.jpg", "camera0/kee\u200bp.jpg", "camera0/\ufeffkeep.jpg",
    "camera0/gpj.peek\u202e", "camera0/e\u0301.jpg", "camera0/\u212b.jpg", f"{RECORDING}/", f"{RECORDING}/..", f"camera0/{RECORDING}",
    f"{RECORDING}.", f"{RECORDING} ", f"{RECORDING}\0", f"{RECORDING}/recording.json", f"{RECORDING}/..//{RECORDING}",
    # What other hands have put there.
    "camera0/link.jpg", "camera0/chain.jpg", "camera0/loop.jpg", "camera0/fifo.jpg", "camera0/folder.jpg", "camera0/socket.jpg",
    "camera1/private.jpg", "camera1", "camera0/.hidden.jpg", "link.jpg", "camera0_2026-11-22_17-03-55Z", "camera0_2026-11-22_17-03-56Z",
    # No file system takes these.
    "", " ", "\0", "\n", "a" * 256, "a" * 100_000, "a/" * 2000, "camera0/" + "a" * 256 + ".jpg", "\ud800", "camera0/\udcff.jpg",
    "camera" + "9" * 5000, "camera-1", "camera0\0", "camera0\n", "\U000e0001", "\x1b[31m", "*", "camera0/*", "[a-z]", "$HOME", "`id`", "-rf",
    "CON", "nul.jpg", "--", "0", "-1", "None", "null",
)  # fmt: skip
#: The same in URLs, as they are sent.
TARGETS = (
    "../secret", "../../outside/private", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "%2E%2E%2F%2E%2E%2Foutside%2Fprivate",
    "..%5csecret", "%252e%252e%252fsecret", "%25252e%25252e/secret", "..%c0%afsecret", "%c0%ae%c0%ae/secret", "%ff.jpg", "%00",
    "camera0/keep.jpg%00", "camera0/keep%00.jpg", "camera0/keep.jpg%20", "camera0/keep.jpg.", "camera0/keep.jpg/", "camera0//keep.jpg",
    "camera0/./keep.jpg", "camera0/x/../keep.jpg", "/camera0/keep.jpg", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "..;/secret",
    "....//secret", "\\..\\secret", "camera0/%6Beep.jpg%2f..", "%ed%a0%80", "camera0/%ef%bb%bfkeep.jpg", "camera0/kee%e2%80%8bp.jpg",
    "a" * 3000, "%61" * 1500, "camera0/%0d%0aX-Injected:%20yes", "", ".", "..", "?", "%", "%2", "%zz", "camera0/link.jpg", "camera0/fifo.jpg",
    "camera1/private.jpg", "camera0/.hidden.jpg", "camera0/folder.jpg", "camera0/hard.jpg", "http://127.0.0.1/x", "camera0/keep.jpg#",
)  # fmt: skip
#: The start of the URLs that every verb is tried with, not only GET.
FULLY = "/files/snapshots/"
#: Required parameters that are not under test; a new method may need another one here.
OTHERS: dict[str, object] = {
    "device": "camera0",
    "filename": "none",
    "stream_url": "rtsp://127.0.0.1:1/x",
    "stream_name": "none",
    "id": "none",
    "auth_token": "none",
    "topics": ["camera.connected"],
}
#: Parameters that choose a name, instead of naming what exists: a harmless one is accepted.
CHOSEN = {("take_snapshot", "filename")}
_IN_ACCESS, _IN_MODIFY, _IN_OPEN, _IN_CREATE, _IN_DELETE = 0x1, 0x2, 0x20, 0x100, 0x200


@dataclass(frozen=True)
class Place:
    """Agent with media, planted entries, and a folder outside that holds what nobody may get."""

    agent: RunningAgent
    state: Path
    outside: Path

    def fingerprint(self) -> dict[str, tuple[object, ...]]:
        """Return what every file outside is, and each one that only its exact name may reach."""
        found = [self.outside, *self.outside.rglob("*"), *self.kept()]
        return {str(path): _identity(path) for path in found}

    def kept(self) -> list[Path]:
        media = (self.state / "snapshots/camera0", self.state / "recordings/camera0")
        inside = [path for folder in media for path in folder.rglob("*")]
        return [self.state / "secret", *inside]


def _identity(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    is_file = stat.S_ISREG(status.st_mode)
    content = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
    kept = (status.st_size, status.st_mtime_ns) if is_file else ()
    return (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, content, kept)


def plant(state: Path, outside: Path) -> None:
    snapshots, recordings = state / "snapshots/camera0", state / "recordings/camera0"
    for folder in (snapshots, recordings, outside / "camera1", snapshots / "folder.jpg"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in (outside / "private", outside / "camera1/private.jpg"):
        path.write_text(f"{CANARY}-{path.name}")
        path.chmod(0o600)
    os.mkfifo(outside / "fifo")
    for name in (KEPT, ".hidden.jpg", "\u00e9.jpg", "\u00c5.jpg"):
        (snapshots / name).write_bytes(b"\xff\xd8kept\xff\xd9")
    (snapshots / "link.jpg").symlink_to(outside / "private")
    (snapshots / "chain.jpg").symlink_to("link.jpg")
    (snapshots / "loop.jpg").symlink_to("loop.jpg")
    (snapshots / "hard.jpg").hardlink_to(outside / "private")
    os.mkfifo(snapshots / "fifo.jpg")
    (state / "snapshots/link.jpg").symlink_to(outside / "private")
    for kind in ("snapshots", "recordings"):
        (state / kind / "camera1").symlink_to(outside / "camera1")
    note = {"id": RECORDING, "camera": "camera0", "format": "fmp4", "started_at": "2026-11-22T17:03:54Z"}
    (recordings / RECORDING).mkdir()
    (recordings / RECORDING / "recording.json").write_text(json.dumps(note))
    (recordings / RECORDING / "2026-11-22_17-03-54-000000Z.mp4").write_bytes(b"kept")
    (recordings / "camera0_2026-11-22_17-03-55Z").symlink_to(outside)
    (recordings / "camera0_2026-11-22_17-03-56Z").hardlink_to(outside / "private")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with running_agent(config=CONFIG, folder=tmp_path / "agent") as agent:
        state, outside = tmp_path / "agent/state", tmp_path / "outside"
        plant(state, outside)
        yield Place(agent, state, outside)


@contextmanager
def untouched(place: Place) -> Iterator[None]:
    """Fail if anything outside was opened, changed, made or deleted meanwhile."""
    before, outside = place.fingerprint(), str(place.outside)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert fd >= 0
    try:
        for folder in (place.outside, place.outside / "camera1"):
            mask = _IN_ACCESS | _IN_MODIFY | _IN_OPEN | _IN_CREATE | _IN_DELETE
            assert libc.inotify_add_watch(fd, os.fsencode(folder), mask) >= 0
        yield
        with pytest.raises(BlockingIOError):
            os.read(fd, 65536)
    finally:
        os.close(fd)
    after = place.fingerprint()
    assert {path: each for path, each in after.items() if path in before or outside in path} == before


def parameters(document: Any) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield each method with each of its texts, and with values for the others that it requires."""
    for method in document["methods"]:
        if method["name"] == "authenticate":
            continue
        required = {each["name"] for each in method["params"] if each.get("required")}
        for each in method["params"]:
            if _is_text(each["schema"]):
                others = {name: OTHERS[name] for name in required - {each["name"]}}
                yield method["name"], each["name"], others


def _is_text(schema: dict[str, Any]) -> bool:
    options = [schema, *schema.get("anyOf", ())]
    return any(option.get("type") == "string" and "enum" not in option for option in options)


def test_parameters_are_found_by_their_form() -> None:
    assert _is_text({"type": "string"})
    assert _is_text({"anyOf": [{"type": "string", "maxLength": 200}, {"type": "null"}]})
    assert not _is_text({"type": "integer"})
    assert not _is_text({"type": "string", "enum": ["jpg"]})


async def test_every_method_that_takes_a_name(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async with connect(place.agent.url, max_size=None) as socket:

        async def call(method: str, **params: object) -> Any:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            with anyio.fail_after(30):
                return json.loads(await socket.recv())

        await call("authenticate", auth_token=place.agent.token("admin"))
        document = (await call("rpc.discover"))["result"]
        taking = list(parameters(document))
        covered = {(method, name) for method, name, _ in taking}
        assert {
            ("take_snapshot", "filename"),
            ("delete_recording", "filename"),
            ("list_snapshots", "device"),
        } <= covered
        wrong = []
        with untouched(place):
            for method, parameter, others in taking:
                for text in NAMES:
                    name = text.replace("OUT", str(place.outside))
                    reply = await call(method, **{**others, parameter: name})
                    is_harmless = "error" in reply or (method, parameter) in CHOSEN
                    if (
                        not is_harmless
                        or reply.get("error", {}).get("code") == -32603
                        or CANARY in str(reply)
                    ):
                        wrong.append((method, parameter, name[:100], str(reply)[:300]))
            reply = await call(
                "subscribe_events", topics=["camera.connected"], filters={"device": "../secret"}
            )
            assert reply["error"]["code"] == -32602
    assert not wrong, "\n".join(map(str, wrong))
    assert "are not listed" not in caplog.text, "it would tell of a file that only a client has named"


async def raw_reply(url: str, request: bytes) -> bytes:
    """Send a request as it is, and return all that is answered."""
    host, _, port = url.removeprefix("http://").partition(":")
    reply = b""
    with anyio.fail_after(30):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(request)
            try:
                while True:
                    reply += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return reply


def targets() -> Iterator[str]:
    for kind in ("snapshots", "recordings"):
        yield from (f"/files/{kind}/{target}" for target in TARGETS)
        yield from (
            f"/files/{kind}/{quote(name, errors='surrogatepass')}" for name in NAMES if len(name) < 3000
        )
    for kind in ("snapshots", "recordings"):
        yield from (f"/files/thumbnails/{kind}/{target}" for target in TARGETS)
    yield from (f"/files/{target}" for target in TARGETS)
    yield from (
        f"/files/snapshots/../../{target}" for target in ("secret", "outside/private", "../outside/private")
    )
    yield from (
        "/files",
        "/files/",
        "//files/snapshots/camera0/link.jpg",
        "/files/SNAPSHOTS/camera0/keep.jpg",
        "*",
        "/%2e%2e/secret",
    )


async def test_every_url_of_a_file(place: Place) -> None:
    wrong = []
    key = place.agent.token("admin").encode()
    with untouched(place):
        for target in targets():
            for verb in (b"GET", b"HEAD", b"DELETE", b"PUT") if target.startswith(FULLY) else (b"GET",):
                path = target.replace("OUT", quote(str(place.outside))).encode()
                head = b"Host: a\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer " + key
                reply = await raw_reply(
                    place.agent.http_url, b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (verb, path, head)
                )
                status = int(reply[9:12])
                is_exact = reply.endswith(b"kept") or b"kept" in reply
                if (
                    status not in {400, 404, 405, 414, 431}
                    or CANARY.encode() in reply
                    or is_exact
                    or b"X-Injected" in reply.partition(b"\r\n\r\n")[0]
                ):
                    wrong.append((verb, path[:100], reply[:300]))
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_name_that_is_there_is_served_by_its_exact_name(place: Place) -> None:
    key = place.agent.token("viewer").encode()
    for path in (b"snapshots/camera0/keep.jpg", b"snapshots/camera0/%C3%A9.jpg"):
        head = b"Host: a\r\nConnection: close\r\nAuthorization: Bearer " + key
        reply = await raw_reply(place.agent.http_url, b"GET /files/%b HTTP/1.1\r\n%b\r\n\r\n" % (path, head))
        assert reply.endswith(b"\xff\xd8kept\xff\xd9")
