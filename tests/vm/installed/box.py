"""Machine on whose disk the packages are installed, and which can lose its power."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import DAEMON, Root
from tests.vm.host.machine import Machine

if TYPE_CHECKING:
    from anyio.abc import Process

__all__ = ("LAYOUT", "LIMIT_S", "Box", "Cable")

#: Small and slow, because an emulated processor encodes H.264.
LAYOUT = Layout(serial="CAM-1", mjpeg=(FrameSize(320, 240, (5,)),), yuyv=())
#: Time limit of a wait; the host may be ten times slower than an idle one.
LIMIT_S = 600.0
COMMANDS, CABLES = "commands", ("cable0", "cable1")


class Cable:
    """Port of the machine for one simulated webcam."""

    def __init__(self, root: Root, port: int) -> None:
        self._root = root
        self._port = port

    async def plug(self, layout: Layout = LAYOUT) -> None:
        await self._root.ask(do="plug", layout=layout.to_json(), port=self._port)

    async def unplug(self) -> None:
        await self._root.ask(do="unplug")


class Box:
    """Machine with a root disk of its own; `share` is the folder that the host sees too."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._process: Process | None = None
        self._roots: list[Root] = []
        self.cables: list[Cable] = []

    @property
    def share(self) -> Path:
        return self._machine.share

    async def boot(self) -> None:
        """Switch the power on, and wait until commands run."""
        names = (COMMANDS, *CABLES)
        self._machine.leave(f"exec python3 tests/vm/installed/bridge.py {DAEMON} {' '.join(names)}")
        with (self._machine.control / "qemu.log").open("wb") as log:
            self._process = await anyio.open_process(
                self._machine.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._roots = [await self._connected(name) for name in names]
        self.cables = [Cable(root, port) for port, root in enumerate(self._roots[1:])]
        await self.run("true")

    async def _connected(self, name: str) -> Root:
        path = self._machine.ports[name]
        with anyio.fail_after(LIMIT_S):
            while True:
                try:
                    return Root(await anyio.connect_unix(path))
                except OSError:
                    assert self._process is not None
                    assert self._process.returncode is None, "QEMU ended"
                    await anyio.sleep(0.1)

    async def cut_power(self) -> None:
        """End the machine as it is: what it has not written to its disk is lost."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            await self._process.aclose()
        self._process = None
        for root in self._roots:
            await root.aclose()
        for path in self._machine.ports.values():
            path.unlink(missing_ok=True)

    async def ask(self, *argv: str, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """Run a command as root; return its exit status, and what it wrote."""
        with anyio.fail_after(limit_s):
            answer = await self._roots[0].ask(do="run", argv=argv)
        return int(answer["status"]), str(answer["output"])

    async def run(self, *argv: str, limit_s: float = LIMIT_S) -> str:
        """Run a command as root and return what it wrote; fail if its exit status is not 0."""
        status, output = await self.ask(*argv, limit_s=limit_s)
        assert status == 0, f"{' '.join(argv)}: exit status {status}\n{output}"
        return output

    async def sh(self, line: str) -> str:
        """Run a line of bash as root, as `run` does."""
        return await self.run("bash", "-c", line)

    async def until(self, line: str, *, limit_s: float = LIMIT_S) -> str:
        """Repeat a line of bash until its exit status is 0, and return what it wrote then."""
        output = ""
        with anyio.move_on_after(limit_s):
            while True:
                status, output = await self.ask("bash", "-c", line)
                if status == 0:
                    return output
                await anyio.sleep(1)
        log = await self.run("journalctl", "--no-pager", "--boot", "--lines=60", "--unit=camera-agent")
        raise AssertionError(f"{line}: never succeeded; at last:\n{output}\n{log}")

    async def properties(self, *names: str, unit: str = "camera-agent") -> dict[str, str]:
        """Return properties of a unit, by the names of `systemctl show`."""
        shown = await self.run("systemctl", "show", f"--property={','.join(names)}", unit)
        return dict(line.split("=", 1) for line in shown.splitlines())

    async def said(self, text: str, *, unit: str = "camera-agent", limit_s: float = LIMIT_S) -> None:
        """Wait until the unit's journal of this boot has `text`."""
        await self.until(
            f"journalctl --boot --unit={unit} --output=cat --no-pager | grep --fixed-strings --max-count=1 -- '{text}'",
            limit_s=limit_s,
        )

    async def call(self, method: str, **params: Any) -> Any:
        """Make a call to the agent with the command line."""
        words = [f"{name}={json.dumps(value)}" for name, value in params.items()]
        return json.loads(await self.run("camera-agent", "call", method, *words))

    async def configure(self, name: str, text: str, *, do: str = "restart") -> None:
        """Write the settings file conf.d/NAME.toml, or remove it if `text` is empty; restart or reload the service."""
        path = f"/etc/camera-agent/conf.d/{name}.toml"
        if text:
            (self.share / "settings.toml").write_text(text)
            await self.run("install", "-D", "-m", "0644", "/mnt/share/settings.toml", path)
        else:
            await self.run("rm", path)
        await self.run("systemctl", do, "camera-agent")

    async def until_camera(self, status: str = "connected") -> None:
        """Wait until the newest record about camera0 in the journal, of the service's present run, has `status`."""
        run = "_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value camera-agent)"
        fields = "CAMERA_AGENT_LOGGER=camera_agent.cameras CAMERA_AGENT_CAMERA=camera0"
        await self.until(f"journalctl --output=cat --lines=1 {fields} {run} | grep ': {status}'")

    async def until_check(self, name: str, status: str) -> None:
        """Wait until a check of the agent's health has a status, an extended regular expression."""
        shown = "for each in json.load(sys.stdin)['checks']: print(each['name'], each['status'])"
        await self.until(
            f"camera-agent call get_status | python3 -c \"import json, sys\n{shown}\" | grep -E '^{name} ({status})$'"
        )

    async def diagnosis(self, name: str) -> str:
        """Return the lines of a check of `camera-agent doctor`, each with its status, name and detail."""
        return await self.sh(f"camera-agent doctor 2>/dev/null | grep -E '^[A-Z]+ +{name} '")

    @asynccontextmanager
    async def plugged(self, layout: Layout = LAYOUT, *, cable: int = 0) -> AsyncIterator[Cable]:
        """Plug a webcam in, and unplug it at the end."""
        await self.cables[cable].plug(layout)
        try:
            yield self.cables[cable]
        finally:
            with anyio.CancelScope(shield=True):
                await self.cables[cable].unplug()

    async def picture(self, *words: str) -> Path:
        """Take a picture of camera0 with the command line; return the file on the host."""
        await self.run("camera-agent", "snapshot", "camera0", "-o", "/mnt/share/x.jpg", *words)
        return self.share / "x.jpg"
