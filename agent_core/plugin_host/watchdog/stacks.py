"""Stacks in the format of faulthandler, and the plugin at fault in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from agent_core.plugin_host.watchdog.origins import PluginOrigin

__all__ = ("Culprit", "Frame", "ThreadStack", "culprit", "frames_of", "parse_stacks", "place_of")

#: Most frames kept per thread; faulthandler writes at most 100.
_MAX_FRAMES = 200


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on a stack. `line` is empty if it is unknown."""

    file: str
    line: str
    function: str

    @property
    def place(self) -> str:
        """Place of the call for messages, without the folders of this host."""
        return f"{Path(self.file).name}, line {self.line or 'unknown'}, in {self.function}"


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """Calls of one thread, innermost first. `ident` is the value of `threading.get_ident`."""

    ident: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Culprit:
    """Plugin whose code did not return, and the place in its code."""

    plugin: PluginOrigin
    place: str


def parse_stacks(text: str) -> tuple[ThreadStack, ...]:
    """Return the threads in faulthandler's output. Other lines are ignored."""
    threads: list[tuple[int, list[Frame]]] = []
    for line in text.splitlines():
        if "hread 0x" in line and "most recent call first" in line:
            threads.append((_ident(line), []))
        elif threads and line.startswith('  File "') and len(threads[-1][1]) < _MAX_FRAMES:
            threads[-1][1].extend(_frame(line))
    return tuple(ThreadStack(ident, tuple(frames)) for ident, frames in threads)


def _ident(line: str) -> int:
    digits = line.partition("hread 0x")[2].partition(" ")[0]
    try:
        return int(digits, 16)
    except ValueError:
        return 0


def _frame(line: str) -> Iterator[Frame]:
    before, separator, function = line.rpartition(" in ")
    file, comma, number = before.rpartition(", line ")
    if separator and comma and file.endswith('"'):
        yield Frame(file.removeprefix('  File "').removesuffix('"'), number.strip("?"), function)


def frames_of(frame: FrameType | None) -> tuple[Frame, ...]:
    """Return `frame` and its callers, innermost first."""
    found: list[Frame] = []
    while frame is not None and len(found) < _MAX_FRAMES:
        found.append(Frame(frame.f_code.co_filename, str(frame.f_lineno), frame.f_code.co_name))
        frame = frame.f_back
    return tuple(found)


def culprit(
    stacks: Sequence[ThreadStack], loop_thread: int, plugins: Sequence[PluginOrigin]
) -> Culprit | None:
    """Return the plugin that stopped the event loop; None if none did or it cannot be determined.

    The innermost plugin frame of the loop's thread decides. If the loop itself waits for events, another thread holds
    the interpreter's lock; the culprit is then the only plugin with frames in other threads, if there is just one.
    """
    loop = next((each for each in stacks if each.ident == loop_thread), None)
    if loop is None:
        return None
    found = _innermost(loop.frames, plugins)
    if found is not None or not _waits(loop):
        return found
    others = [_innermost(each.frames, plugins) for each in stacks if each is not loop]
    suspects = {each.plugin.name: each for each in others if each is not None}
    return next(iter(suspects.values())) if len(suspects) == 1 else None


def _innermost(frames: Iterable[Frame], plugins: Sequence[PluginOrigin]) -> Culprit | None:
    for frame in frames:
        own = [each for each in plugins if each.owns(frame.file)]
        brought = [each for each in plugins if each.brought(frame.file)]
        for plugin in (*own, *brought):
            return Culprit(plugin, frame.place)
    return None


def _waits(loop: ThreadStack) -> bool:
    return bool(loop.frames) and Path(loop.frames[0].file).name == "selectors.py"


def place_of(stacks: Sequence[ThreadStack], loop_thread: int) -> str:
    """Return the place of the loop's thread; "an unknown place" if the stacks lack it."""
    loop = next((each for each in stacks if each.ident == loop_thread), None)
    return loop.frames[0].place if loop is not None and loop.frames else "an unknown place"
