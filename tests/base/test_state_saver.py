"""Saver of a state file: each change is written, and a disk that refuses is tried again with growing pauses."""

import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from agent_core.base.files import StateFile
from agent_core.base.state_saver import StateSaver
from agent_core.testing import SimulatedClock


class Words(BaseModel):
    words: tuple[str, ...] = ()


class Book:
    """Words in memory, kept in the file `book.json` of a folder.

    Attributes:
        attempts: number of values that were asked for to be stored.
    """

    def __init__(self, folder: Path, require: Callable[[], None] = lambda: None) -> None:
        self.path = folder / "book.json"
        self.clock = SimulatedClock()
        self.attempts = 0
        self._words: list[str] = []
        self.saver = StateSaver(StateFile(self.path, Words, require=require), self._value)

    def _value(self) -> Words:
        self.attempts += 1
        return Words(words=tuple(self._words))

    def add(self, word: str) -> None:
        self._words.append(word)
        self.saver.changed()

    @property
    def stored(self) -> list[str]:
        words: list[str] = json.loads(self.path.read_text())["words"]
        return words


@asynccontextmanager
async def running(book: Book) -> AsyncIterator[None]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(book.saver.run, book.clock)
            yield
            tasks.cancel_scope.cancel()


async def pausing(book: Book, attempts: int) -> None:
    """Wait until this many attempts have failed."""
    while len(book.clock.sleeps) < attempts:
        await anyio.sleep(0.01)


async def recovered(book: Book) -> None:
    """Wait until an attempt has succeeded after failed ones."""
    while book.saver.problem is not None:
        await anyio.sleep(0.01)
    assert await book.saver.wait_stored(10)


def block(folder: Path) -> None:
    """Put a file in the place of the folder."""
    folder.rmdir()
    folder.write_text("not a folder")


def free(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


async def test_each_change_is_written(folder: Path) -> None:
    book = Book(folder)
    async with running(book):
        for word in ("one", "two"):
            book.add(word)
            assert await book.saver.wait_stored(10)
            assert book.stored[-1] == word
    assert book.attempts == 2, "nothing is written without a change"


async def test_a_change_in_the_middle_of_a_write_is_written_after_it(folder: Path) -> None:
    is_first = True

    def change_once() -> None:
        """Run in the thread that writes, whose value has been taken by then."""
        nonlocal is_first
        if is_first:
            is_first = False
            anyio.from_thread.run_sync(book.add, "two")

    book = Book(folder, require=change_once)
    async with running(book):
        book.add("one")
        while book.attempts < 2 or not await book.saver.wait_stored(10):
            await anyio.sleep(0.01)
        assert book.stored == ["one", "two"]


async def test_the_changes_before_a_cancellation_are_written(folder: Path) -> None:
    book = Book(folder)
    async with running(book):
        book.add("one")
    assert book.stored == ["one"]


async def test_a_failed_write_is_tried_once_after_each_pause_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book(folder)
    block(folder)
    async with running(book):
        book.add("one")
        for attempt in range(1, 9):
            await pausing(book, attempt)
            assert book.attempts == attempt
            assert (problem := book.saver.problem) is not None
            assert problem.reason == "not_a_folder"
            await book.clock.advance(book.clock.sleeps[-1])
        await pausing(book, 9)
        assert book.clock.sleeps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        free(folder)
        await book.clock.advance(60)
        await recovered(book)
    assert book.stored == ["one"]
    assert book.saver.problem is None
    said = [each for each in caplog.messages if "book.json" in each]
    assert len(said) == 9
    assert "Remove the file that is in the place of the folder." in said[0]


async def test_after_a_success_the_pauses_begin_anew(folder: Path) -> None:
    book = Book(folder)
    block(folder)
    async with running(book):
        book.add("one")
        for attempt in (1, 2, 3):
            await pausing(book, attempt)
            if attempt == 3:
                free(folder)
            await book.clock.advance(book.clock.sleeps[-1])
        await recovered(book)
        book.path.unlink()
        block(folder)
        book.add("two")
        await pausing(book, 4)
        assert book.clock.sleeps == [1, 2, 4, 1]


async def test_a_waiting_caller_is_told_at_once_while_the_disk_refuses(folder: Path) -> None:
    book = Book(folder)
    block(folder)
    async with running(book):
        book.add("one")
        assert not await book.saver.wait_stored(3600)


async def test_a_full_disk_keeps_the_last_content_until_there_is_space(
    tmpfs: Callable[[str], Path],
) -> None:
    disk = tmpfs("size=64k")
    book = Book(disk)
    async with running(book):
        book.add("one")
        assert await book.saver.wait_stored(10)
        ballast = disk / "ballast"
        status = os.statvfs(disk)
        ballast.write_bytes(b"x" * (status.f_bavail * status.f_frsize))
        book.add("two")
        assert not await book.saver.wait_stored(10)
        assert (problem := book.saver.problem) is not None
        assert problem.reason == "disk_full"
        assert book.stored == ["one"]
        await pausing(book, 1)
        ballast.unlink()
        await book.clock.advance(1)
        await recovered(book)
        assert book.stored == ["one", "two"]


async def test_a_cancellation_in_a_pause_tries_once_more_and_only_logs_a_refusal(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book(folder)
    block(folder)
    with caplog.at_level(logging.ERROR):
        async with running(book):
            book.add("one")
            await pausing(book, 1)
    assert book.attempts == 2
    assert len(caplog.messages) == 2


async def test_a_fault_of_the_program_is_not_tried_again(folder: Path) -> None:
    def fail() -> None:
        message = "a bug"
        raise ValueError(message)

    book = Book(folder, require=fail)
    book.add("one")
    with anyio.fail_after(20), pytest.raises(ValueError, match="a bug"):
        await book.saver.run(book.clock)
    assert book.attempts == 1
