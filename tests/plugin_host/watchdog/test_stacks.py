"""The plugin at fault, read from the output of faulthandler."""

import faulthandler
import sys
import threading
from pathlib import Path

import pytest

from agent_core.plugin_host.watchdog.origins import PluginOrigin
from agent_core.plugin_host.watchdog.stacks import ThreadStack, culprit, frames_of, parse_stacks, place_of

LOOP, OTHER = 0x7F01, 0x7F02
SELECTORS = '  File "/usr/lib/python3.11/selectors.py", line 468 in select\n'


def plugin(name: str, *roots: str, beside: tuple[str, ...] = ()) -> PluginOrigin:
    return PluginOrigin(name=name, version="1", settings="", roots=roots, beside=beside)


HELLO = plugin("hello", "/site/hello")
LAMP = plugin("lamp", "/site/lamp.py", beside=("/site/bulbs",))


def dump(loop: str, other: str = "") -> tuple[ThreadStack, ...]:
    return parse_stacks(
        f"Timeout (0:00:31)!\nThread 0x{OTHER:016x} (most recent call first):\n{other}\n"
        f"Thread 0x{LOOP:016x} [MainThread] (most recent call first):\n{loop}"
    )


def frame(file: str, function: str = "run", line: int = 7) -> str:
    return f'  File "{file}", line {line} in {function}\n'


def test_the_innermost_plugin_frame_of_the_loop_decides() -> None:
    stacks = dump(
        frame("/usr/lib/python3.11/re/__init__.py", "match")
        + frame("/site/hello/text.py", "clean", 12)
        + frame("/agent_core/supervisor.py")
        + frame("/site/lamp.py"),
        frame("/site/lamp.py"),
    )
    found = culprit(stacks, LOOP, (LAMP, HELLO))
    assert found is not None
    assert (found.plugin.name, found.place) == ("hello", "text.py, line 12, in clean")


@pytest.mark.parametrize(
    ("loop", "other", "expected"),
    [
        (frame("/agent_core/app.py"), frame("/site/lamp.py"), None),  # the agent's own fault
        (SELECTORS, frame("/site/lamp.py"), "lamp"),  # a thread holds the interpreter's lock
        (SELECTORS, frame("/site/hello/a.py") + frame("/site/lamp.py"), "hello"),
        (SELECTORS, "", None),
        (frame("/site/hello.py"), "", "hello"),
        (frame("/site/hello2/a.py"), "", None),  # another package whose name starts so
        (frame("/site/bulbs/a.py"), "", "lamp"),
        ("", "", None),
    ],
)
def test_who_is_at_fault(loop: str, other: str, expected: str | None) -> None:
    found = culprit(dump(loop, other), LOOP, (HELLO, LAMP))
    assert (found and found.plugin.name) == expected


def test_two_plugins_in_threads_are_both_innocent() -> None:
    stacks = (
        *dump(SELECTORS, frame("/site/lamp.py")),
        *parse_stacks("Thread 0x7f03 (most recent call first):\n" + frame("/site/hello/a.py")),
    )
    assert culprit(stacks, LOOP, (HELLO, LAMP)) is None


def test_its_own_module_comes_before_what_its_neighbour_brought() -> None:
    neighbour = plugin("a", "/site/a.py", beside=("/site/a.py", "/site/b.py"))
    own = plugin("b", "/site/b.py", beside=("/site/a.py", "/site/b.py"))
    found = culprit(dump(frame("/site/b.py")), LOOP, (neighbour, own))
    assert found is not None
    assert found.plugin is own


@pytest.mark.parametrize(
    "text", ["", "\0" * 50, 'Thread 0xzz (most recent call first):\n  File "', "  File x in"]
)
def test_a_damaged_file_names_nobody(text: str) -> None:
    assert culprit(parse_stacks(text), LOOP, (HELLO,)) is None
    assert place_of(parse_stacks(text), LOOP) == "an unknown place"


def test_what_this_python_really_writes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "stacks"
    with file.open("wb") as written:
        faulthandler.dump_traceback(file=written, all_threads=True)
    stacks = {each.ident: each for each in parse_stacks(file.read_text())}
    mine = stacks[threading.get_ident()]
    assert mine.frames[0].function == "test_what_this_python_really_writes_is_read"
    assert mine.frames[0].file == __file__
    inside = frames_of(sys._getframe())
    assert [each.function for each in inside[:3]] == [each.function for each in mine.frames[:3]]
