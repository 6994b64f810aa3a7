"""Log records in systemd's journal, read as systemd.io/JOURNAL_NATIVE_PROTOCOL describes it."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_core.base import logging as agent_logging
from agent_core.base.journal import encoded, leads_to_journal

_LOG = logging.getLogger("camera_agent.test")


def _decoded(entry: bytes) -> dict[str, bytes]:
    """Read an entry: `NAME=value`, or `NAME`, 64 bits of length, little endian, and the value; a line feed after each."""
    fields: dict[str, bytes] = {}
    while entry:
        line, _, rest = entry.partition(b"\n")
        name, has_value, value = line.partition(b"=")
        if not has_value:
            length, rest = int.from_bytes(rest[:8], "little"), rest[8:]
            value, end, rest = rest[:length], rest[length : length + 1], rest[length + 1 :]
            assert end == b"\n"
        assert name.decode("ascii") not in fields
        fields[name.decode("ascii")] = value
        entry = rest
    return fields


@dataclass
class _Journal:
    """journald's socket, and a file in place of standard error, which it reads."""

    path: Path
    receiver: socket.socket
    stderr: int

    def configure(self, form: str = "text") -> None:
        status = os.fstat(self.stderr)
        agent_logging.configure(
            "debug", form, descriptor=self.stderr, journal=self.path,
            environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
        )  # fmt: skip

    def received(self) -> dict[str, bytes]:
        data, descriptors, _, _ = socket.recv_fds(self.receiver, 1 << 20, 4)
        if not descriptors:
            return _decoded(data)
        (descriptor,) = descriptors
        with os.fdopen(descriptor, "rb") as file:
            assert data == b"", "an entry has a payload or a descriptor, never both"
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            assert seals & wanted == wanted, "journald refuses a file that may still change"
            return _decoded(os.pread(descriptor, os.fstat(file.fileno()).st_size, 0))


@pytest.fixture
def journal() -> Iterator[_Journal]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("camera_agent").level)
    with (
        TemporaryDirectory(prefix="ca-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        path = Path(folder) / "socket"
        receiver.bind(str(path))
        receiver.settimeout(30)
        stderr = os.open(Path(folder) / "stderr", os.O_CREAT | os.O_RDWR, 0o600)
        yield _Journal(path, receiver, stderr)
        os.close(stderr)
    for each in root.handlers:
        if each not in before[0]:
            each.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.getLogger("camera_agent").setLevel(before[2])


def test_an_entry_has_the_documented_form() -> None:
    entry = encoded([("MESSAGE", "foo"), ("CODE", "a\nb"), ("EMPTY", ""), ("EQUAL", "x=y")])
    assert entry == b"MESSAGE=foo\nCODE\n\x03\0\0\0\0\0\0\0a\nb\nEMPTY=\nEQUAL=x=y\n"


def test_fields_of_a_record_are_fields_of_the_journal(
    journal: _Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.configure()
    with agent_logging.fields(request_id="r1"):
        _LOG.warning("it is %s", "late", extra={"fields": {"camera": "camera0"}})
    assert journal.received() == {
        "MESSAGE": b"camera_agent.test: it is late request_id=r1 camera=camera0",
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"camera-agent",
        "CAMERA_AGENT_LOGGER": b"camera_agent.test",
        "CAMERA_AGENT_REQUEST_ID": b"r1",
        "CAMERA_AGENT_CAMERA": b"camera0",
    }
    assert capsys.readouterr().err == "", "the journal would have it twice"


@pytest.mark.parametrize(
    ("level", "priority"),
    [("critical", b"2"), ("error", b"3"), ("warning", b"4"), ("info", b"6"), ("debug", b"7")],
)
def test_levels_are_priorities_of_syslog(journal: _Journal, level: str, priority: bytes) -> None:
    journal.configure()
    _LOG.log(logging.getLevelNamesMapping()[level.upper()], "x")
    assert journal.received()["PRIORITY"] == priority


def test_a_message_of_several_lines_is_one_entry(journal: _Journal) -> None:
    journal.configure()
    try:
        raise ValueError("a\nPRIORITY=0\n_PID=1")
    except ValueError:
        _LOG.exception("it failed")
    received = journal.received()
    assert received["PRIORITY"] == b"3"
    assert b"\n  ValueError: a\n  PRIORITY=0" in received["MESSAGE"]
    assert "_PID" not in received


def test_a_field_from_outside_forges_no_other(journal: _Journal) -> None:
    journal.configure()
    _LOG.info("connected", extra={"fields": {"name": "Cam\nPRIORITY=0\n\udcff", "odd-name": "x"}})
    received = journal.received()
    assert received["CAMERA_AGENT_NAME"] == b"Cam\nPRIORITY=0\n\\udcff"
    assert received["CAMERA_AGENT_ODD_NAME"] == b"x"
    assert received["PRIORITY"] == b"6"


def test_json_goes_to_the_journal_as_the_message(journal: _Journal) -> None:
    journal.configure("json")
    _LOG.error("x", extra={"fields": {"camera": "camera0"}})
    received = journal.received()
    assert received["MESSAGE"].startswith(b"{")
    assert received["CAMERA_AGENT_CAMERA"] == b"camera0"


def test_an_entry_too_large_for_a_datagram_goes_as_a_sealed_file(journal: _Journal) -> None:
    journal.configure()
    long = "x" * (32 << 20)
    _LOG.info(long)
    assert journal.received()["MESSAGE"] == f"camera_agent.test: {long}".encode()


def test_records_go_to_standard_error_while_the_journal_is_away(
    journal: _Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.configure()
    journal.path.unlink()
    _LOG.info("lost?")
    assert "INFO    camera_agent.test: lost?" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(journal.path))
        again.settimeout(30)
        _LOG.info("back")
        assert _decoded(again.recv(1 << 16))["MESSAGE"] == b"camera_agent.test: back"


@pytest.mark.parametrize("named", ["", "0:0", "a:b", ":"])
def test_another_stream_is_not_the_journals(journal: _Journal, named: str) -> None:
    assert not leads_to_journal(journal.stderr, {"JOURNAL_STREAM": named})
    assert not leads_to_journal(journal.stderr, {})
    assert not leads_to_journal(-1, {"JOURNAL_STREAM": named})
