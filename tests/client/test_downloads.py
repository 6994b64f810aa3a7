"""Downloads: whole or not at all, and the token only to the agent."""

import stat
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.abc
import pytest

from agent_core.base.models import CameraId
from agent_core.client import AgentClient, AgentUnreachable, DownloadFailed
from agent_core.recordings.models import RecordingFormat

if TYPE_CHECKING:
    from tests.conftest import Raw, Talk, ToyAgent

Listen = Callable[["Talk"], AbstractAsyncContextManager["Raw"]]


async def test_a_signed_link_is_downloaded_without_a_token_of_its_own(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        taken = await agent.call("take_snapshot", device="camera0")
        content = await agent.download(taken["download_url"], size_bytes=taken["file_size"])
    assert content == (toy.snapshots / taken["filename"]).read_bytes()


async def test_a_name_is_downloaded_with_the_token(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        taken = await agent.call("take_snapshot", device="camera0")
        assert len(await agent.download(taken["filename"])) == taken["file_size"]
    async with AgentClient(toy.url) as stranger:
        with pytest.raises(DownloadFailed) as caught:
            await stranger.download(taken["filename"])
    assert (caught.value.status, caught.value.reason) == (401, "missing_credentials")
    assert caught.value.suggestion


async def test_a_segment_says_where_the_next_one_is(toy: "ToyAgent", tmp_path: Path) -> None:
    note = toy.recordings.create(CameraId("camera0"), RecordingFormat.FMP4, toy.clock.now())
    for name in ("a.mp4", "b.mp4"):
        (toy.recordings.root / "camera0" / note.id / name).write_bytes(name.encode())
    async with AgentClient(toy.url, toy.token()) as agent:
        first = await agent.download_segment(tmp_path / "1", note.id)
        assert first.next_url is not None
        second = await agent.download_segment(tmp_path / "2", first.next_url)
    assert (first.size_bytes, second.next_url) == (5, None)
    assert [(tmp_path / name).read_bytes() for name in "12"] == [b"a.mp4", b"b.mp4"]


async def test_a_file_that_does_not_exist(toy: "ToyAgent", tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.jpg"
    target.parent.mkdir()
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(DownloadFailed) as caught:
            await agent.download_to(target, "camera0/none.jpg")
    assert caught.value.status == 404
    assert list(target.parent.iterdir()) == []


async def test_a_file_is_replaced_once_the_new_one_is_whole(toy: "ToyAgent", tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.jpg"
    target.parent.mkdir()
    target.write_bytes(b"old")
    async with AgentClient(toy.url, toy.token()) as agent:
        taken = await agent.call("take_snapshot", device="camera0")
        size_bytes = await agent.download_to(target, taken["download_url"], size_bytes=taken["file_size"])
    assert target.stat().st_size == size_bytes == taken["file_size"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o111 == 0
    assert list(target.parent.iterdir()) == [target]


async def test_a_download_that_breaks_off_leaves_what_was_there(
    toy: "ToyAgent", cut_off: "Raw", tmp_path: Path
) -> None:
    target = tmp_path / "out" / "a.jpg"
    target.parent.mkdir()
    target.write_bytes(b"old")
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(DownloadFailed, match="broke off") as caught:
            await agent.download_to(target, cut_off.http)
        with pytest.raises(DownloadFailed, match="broke off"):
            await agent.download(cut_off.http)
    assert (caught.value.reason, caught.value.status) == ("download_incomplete", None)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


async def test_a_file_of_another_size_than_said_is_refused(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        taken = await agent.call("take_snapshot", device="camera0")
        with pytest.raises(DownloadFailed, match="instead of 7") as caught:
            await agent.download(taken["download_url"], size_bytes=7)
    assert caught.value.reason == "download_incomplete"


async def test_a_folder_that_is_not_there(toy: "ToyAgent", tmp_path: Path) -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(FileNotFoundError):
            await agent.download_to(tmp_path / "none" / "a.jpg", "camera0/a.jpg")


async def test_the_token_goes_to_the_agent_alone(toy: "ToyAgent", raw: Listen) -> None:
    requests: list[bytes] = []

    async def talk(stream: anyio.abc.SocketStream) -> None:
        requests.append(await stream.receive())
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw(talk) as elsewhere, AgentClient(toy.url, toy.token()) as agent:
        assert await agent.download(elsewhere.http) == b"ok"
    assert b"authorization" not in requests[0].lower()


async def test_an_http_port_where_nobody_is(toy: "ToyAgent", raw: Listen) -> None:
    async def talk(_stream: anyio.abc.SocketStream) -> None:
        return

    async with raw(talk) as server:
        gone = server.http
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(AgentUnreachable):
            await agent.download(gone)


async def test_a_refusal_of_something_else_still_says_its_status(toy: "ToyAgent", raw: Listen) -> None:
    async def talk(stream: anyio.abc.SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")

    async with raw(talk) as server, AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(DownloadFailed, match="302") as caught:
            await agent.download(server.http)
    assert caught.value.status == 302
