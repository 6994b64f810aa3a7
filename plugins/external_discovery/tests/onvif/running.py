"""The independent ONVIF device on a host of a test's network."""

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_core.base import processes
from plugins.external_discovery.tests.network.lan import Host

__all__ = ("MEDIA1", "MEDIA2", "OnvifDevice", "Profile", "running_onvif")

MEDIA1 = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
#: `make .cache/onvif/.installed` makes it.
_PYTHON = Path(__file__).parents[4] / ".cache/onvif/bin/python"
_PROGRAM = Path(__file__).with_name("onvif_device.py")
_START_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    uri: str
    encoding: str = "H264"


@dataclass
class OnvifDevice:
    """Device that runs. `lines` has what it said of each request, in order."""

    lines: list[dict[str, object]] = field(default_factory=list)

    @property
    def asked(self) -> list[object]:
        """Operations that it carried out."""
        return [each["operation"] for each in self.lines if "operation" in each]

    @property
    def refused(self) -> list[object]:
        return [each["refused"] for each in self.lines if "refused" in each]

    @property
    def failures(self) -> list[object]:
        """Requests that did not fit their schema, or other faults of the device."""
        return [each["failed"] for each in self.lines if "failed" in each]


@asynccontextmanager
async def running_onvif(
    host: Host,
    *profiles: Profile,
    password: str = "",
    clock_off_s: float = 0,
    media: Sequence[str] = (MEDIA1, MEDIA2),
    hosts: Sequence[str] = (),
    types: Sequence[str] = ("nvt",),
    scopes: Sequence[str] = ("onvif://www.onvif.org/name/Front%20door",),
    old: bool = False,
) -> AsyncIterator[OnvifDevice]:
    """Run a device for as long as the context is open; skips the test where its environment is missing.

    Args:
        host: the host.
        profiles: its profiles with the addresses of their streams.
        password: password of the user `viewer`; empty: it asks for none.
        clock_off_s: what its clock is ahead of the true time.
        media: its media services.
        hosts: hosts in the addresses that it names; by default its first IPv4 address.
        types: `nvt`, `device` or both: what it answers to.
        scopes: scopes of its answers.
        old: it does not know GetServices.
    """
    if not _PYTHON.exists():
        pytest.skip("no environment for ONVIF: run `make .cache/onvif/.installed`")
    settings = {
        "password": password,
        "clock_off_s": clock_off_s,
        "media": list(media),
        "hosts": list(hosts) or [str(host.v4)],
        "types": list(types),
        "scopes": list(scopes),
        "old": old,
        "profiles": [
            {"name": each.name, "token": f"token {number} <&>", "encoding": each.encoding, "uri": each.uri}
            for number, each in enumerate(profiles)
        ],
    }
    command = host.command(str(_PYTHON), str(_PROGRAM), json.dumps(settings))
    device = OnvifDevice()
    async with (
        processes.child(command, stderr=subprocess.DEVNULL) as process,
        anyio.create_task_group() as tasks,
    ):
        assert process.stdout is not None
        output = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(_START_TIMEOUT_S):
            assert json.loads(await output.receive_until(b"\n", 1 << 16)) == {"ready": True}
        tasks.start_soon(_collect, output, device)
        yield device
        tasks.cancel_scope.cancel()


async def _collect(output: BufferedByteReceiveStream, device: OnvifDevice) -> None:
    while True:
        device.lines.append(json.loads(await output.receive_until(b"\n", 1 << 16)))
