"""Added streams are kept over restarts, their secrets apart, whatever became of the files."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent_core.plugin import DependencyFailed, InvalidState
from external_discovery.address import StreamAddress
from external_discovery.streams import SECRETS_FILE, STREAMS_FILE, AddedStream, StreamFiles, stream_id

WHEN = datetime(2026, 11, 30, 3, tzinfo=UTC)


def stream(url: str, name: str = "Yard") -> AddedStream:
    address, credentials = StreamAddress.parse(url)
    return AddedStream(stream_id(address.url), address, name, "generic_rtsp", WHEN, credentials)


OPEN = stream("rtsp://192.0.2.1/open", "Open")
LOCKED = stream("rtsp://admin:Tr0ub%40dor@192.0.2.2/locked", "Locked")
SECRET = stream("rtsp://192.0.2.3/live?user=a&password=Tr0ub4dor", "Secret")


async def test_streams_come_back_as_they_were(tmp_path: Path) -> None:
    await StreamFiles(tmp_path).save((OPEN, LOCKED, SECRET))
    files = StreamFiles(tmp_path)
    assert await files.load() == (OPEN, LOCKED, SECRET)
    assert files.problems == []


async def test_secrets_have_a_file_of_their_own(tmp_path: Path) -> None:
    await StreamFiles(tmp_path).save((OPEN, LOCKED, SECRET))
    assert "Tr0ub" not in (tmp_path / STREAMS_FILE).read_text()
    assert "admin" not in (tmp_path / STREAMS_FILE).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {STREAMS_FILE, SECRETS_FILE}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert all(path.name.startswith("external_discovery") for path in tmp_path.iterdir())


async def test_a_removed_password_is_on_the_disk_no_more(tmp_path: Path) -> None:
    files = StreamFiles(tmp_path)
    await files.save((OPEN, LOCKED))
    await files.save((OPEN,))
    assert all("Tr0ub" not in path.read_text() for path in tmp_path.iterdir())


async def test_streams_of_the_configuration_are_not_stored(tmp_path: Path) -> None:
    await StreamFiles(tmp_path).save((OPEN, replace(LOCKED, is_configured=True)))
    assert await StreamFiles(tmp_path).load() == (OPEN,)


@pytest.mark.parametrize("file", [STREAMS_FILE, SECRETS_FILE])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"version": 1, "streams": 7, "secrets": 7}']
)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, file: str, content: bytes) -> None:
    await StreamFiles(tmp_path).save((OPEN, LOCKED))
    (tmp_path / file).write_bytes(content)
    files = StreamFiles(tmp_path)
    found = await files.load()
    assert [each.name for each in found] == ([] if file == STREAMS_FILE else ["Open", "Locked"])
    assert file in files.problems[0]
    assert (tmp_path / f"{file}.corrupt").read_bytes() == content
    await files.save((OPEN,))
    assert await StreamFiles(tmp_path).load() == (OPEN,)


@pytest.mark.parametrize("file", [STREAMS_FILE, SECRETS_FILE])
async def test_a_newer_file_is_neither_used_nor_changed(tmp_path: Path, file: str) -> None:
    await StreamFiles(tmp_path).save((OPEN, LOCKED))
    newer = {**json.loads((tmp_path / file).read_text()), "version": 2, "more": True}
    (tmp_path / file).write_text(json.dumps(newer))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    files = StreamFiles(tmp_path)
    await files.load()
    assert f"{file} is of a later version" in files.problems[0]
    with pytest.raises(InvalidState) as refused:
        await files.save((OPEN,))
    assert refused.value.reason == "newer_state_file"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_a_stored_address_is_read_as_strictly_as_a_new_one(tmp_path: Path) -> None:
    await StreamFiles(tmp_path).save((OPEN, LOCKED))
    path = tmp_path / STREAMS_FILE
    path.write_text(path.read_text().replace("rtsp://192.0.2.1/open", "file:///etc/passwd"))
    files = StreamFiles(tmp_path)
    assert await files.load() == (LOCKED,)
    assert "Open" in files.problems[0]


async def test_an_empty_password_in_the_address_survives_a_restart(tmp_path: Path) -> None:
    empty = stream("rtsp://192.0.2.4/user=admin&password=&channel=1.sdp", "Empty")
    await StreamFiles(tmp_path).save((empty,))
    assert await StreamFiles(tmp_path).load() == (empty,)


async def test_a_stream_without_its_secret_parameters_is_left_out(tmp_path: Path) -> None:
    """With `***` as its password it could lock the camera's account."""
    await StreamFiles(tmp_path).save((OPEN, SECRET))
    (tmp_path / SECRETS_FILE).unlink()
    files = StreamFiles(tmp_path)
    assert await files.load() == (OPEN,)
    assert "Secret" in files.problems[0]


async def test_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    with pytest.raises(DependencyFailed) as failed:
        await StreamFiles(tmp_path / "missing").save((OPEN,))
    assert failed.value.dependency == "storage"


async def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text('{"version": 1, "streams": []}')
    (tmp_path / STREAMS_FILE).symlink_to(tmp_path / "elsewhere")
    files = StreamFiles(tmp_path)
    assert await files.load() == ()
    assert "symbolic link" in files.problems[0]


def test_the_id_of_a_stream_comes_from_its_public_address() -> None:
    other, _ = StreamAddress.parse("RTSP://u:p@192.0.2.3:554/live?user=a&password=other")
    assert stream_id(other.url) == SECRET.id
    assert len({OPEN.id, LOCKED.id, SECRET.id}) == 3
