"""Services that the cameras of one source share: the installed programs, their lists, and a lock between these."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from agent_core.plugin import CaptureFailed, WorkerPool
from agent_core.plugin.processes import Finished, run
from libcamera_source.failures import explain, incomplete, not_executed, program_missing
from libcamera_source.listing import ListedCamera
from libcamera_source.programs import Tools, find_tools
from libcamera_source.settings import CaptureSettings, ProgramChoice

__all__ = ("CameraLock", "Toolbox", "environment")

#: Longest time for a list: `cam` needs 0.2 s on a desktop computer and 2 s on an emulated one.
_LIST_S = 30.0
_LIST_BYTES = 1 << 20
#: Time that a capture leaves to a list: `rpicam-vid` opens each camera for less than a second.
_CAPTURE_WAIT_S = 5.0


class CameraLock:
    """Order between lists and the programs that capture.

    `rpicam-vid --list-cameras` opens and configures each camera for a moment (rpicam-apps, core/options.cpp), so such a
    list waits for no capture and runs beside none. A capture that has waited for a list for `wait_s` (s) ends it.
    """

    def __init__(self, wait_s: float = _CAPTURE_WAIT_S) -> None:
        self._wait_s = wait_s
        self._users = 0
        self._list = anyio.CancelScope()
        self._lists = anyio.Lock()

    @property
    def is_used(self) -> bool:
        """True while a program captures."""
        return self._users > 0

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Let no list that opens cameras run while the context is open; wait for one that runs, or end it."""
        with self._counted():
            with anyio.move_on_after(self._wait_s) as wait:
                await self._until_listed()
            if wait.cancelled_caught:
                self._list.cancel()
                await self._until_listed()
            yield

    async def _until_listed(self) -> None:
        async with self._lists:
            pass

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[anyio.CancelScope]:
        """Let no program start to capture while the context is open. List in its scope, by which a capture ends the list."""
        async with self._lists:
            self._list = anyio.CancelScope()
            yield self._list

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1


class Toolbox:
    """Installed programs, looked for anew at each use, because packages may be installed meanwhile.

    Args:
        choice: setting `program`.
        cache_folder: folder for GStreamer's registry, which costs a second to build.
        search_path: folders with programs, in the form of PATH; default: PATH.
    """

    def __init__(self, choice: ProgramChoice, cache_folder: Path, search_path: str | None = None) -> None:
        self._choice = choice
        self._search_path = search_path
        self._threads = WorkerPool(1)
        self._probed: set[str] = set()
        self.environment = environment(cache_folder)
        self.lock = CameraLock()

    def environment_for(self, settings: CaptureSettings) -> dict[str, str]:
        """Return the environment of the program that captures from a camera with these settings."""
        # Read by libcamera itself, also where the program has no option for it (libcamera, src/libcamera/pipeline/rpi/common
        # and src/libcamera/ipa_proxy.cpp); documentation only.
        tuning = settings.tuning_file
        return {**self.environment, **({"LIBCAMERA_RPI_TUNING_FILE": str(tuning)} if tuning else {})}

    async def tools(self) -> Tools:
        """Return the programs to use.

        Raises:
            DependencyFailed: (`program_missing`) none is installed.
            CaptureFailed: (`program_unsuitable`) a part of it is not.
        """
        found = await self._threads.run(find_tools, self._choice, self._search_path)
        for tools in found:
            if await self._is_complete(tools):
                return tools
        if found:
            raise incomplete(Path(found[0].capture).name, found[0].program.package)
        raise program_missing()

    async def _is_complete(self, tools: Tools) -> bool:
        if tools.probe and tools.capture not in self._probed:
            done = await self._run(tools.probe)
            if done.returncode != 0:
                return False
            self._probed.add(tools.capture)
        return True

    async def list_cameras(self) -> tuple[ListedCamera, ...] | None:
        """Return the cameras that libcamera knows; None if they cannot be listed because one is in use.

        Raises:
            DependencyFailed: (`program_missing`) no program is installed.
            CaptureFailed: the program failed, or did not end in time.
        """
        tools = await self.tools()
        if not tools.program.list_acquires:
            return await self._listed(tools)
        if self.lock.is_used:
            return None
        async with self.lock.listing() as scope:
            with scope:
                return await self._listed(tools)
        return None

    async def _listed(self, tools: Tools) -> tuple[ListedCamera, ...]:
        done = await self._run(tools.lister)
        # libcamera-apps print the list on stderr, rpicam-apps on stdout.
        output = done.stdout.decode(errors="replace") + "\n" + done.stderr
        cameras = tools.parse(output)
        if cameras is None:
            raise explain(output, done.returncode, Path(tools.lister[0]).name)
        return cameras

    async def _run(self, words: Sequence[str]) -> Finished:
        name = Path(words[0]).name
        with anyio.move_on_after(_LIST_S):
            try:
                return await run(words, output_limit_bytes=_LIST_BYTES, env=self.environment)
            except FileNotFoundError as error:
                raise not_executed(name) from error
        raise CaptureFailed(
            f"{name} did not end within {_LIST_S:g} s.",
            reason="list_timed_out",
            suggestion=f"Run {name} by hand; if it hangs, restart the machine.",
        )


def environment(cache_folder: Path) -> dict[str, str]:
    """Return the environment for programs of libcamera and GStreamer; for `child`, which removes the agent's own."""
    inherited = {name: value for name, value in os.environ.items() if name != "LIBCAMERA_LOG_FILE"}
    return {
        **inherited,
        "GST_REGISTRY": str(cache_folder / "libcamera_source.gstreamer"),
        # What is said on standard error tells the format of frames and the reasons of failures.
        "LIBCAMERA_LOG_LEVELS": "*:INFO",
        "LIBCAMERA_LOG_NO_COLOR": "1",
        "NO_COLOR": "1",
    }
