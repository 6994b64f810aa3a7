"""A host without a loopback address: the managed server's start says so, whether its ports are given or searched for."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agent_core.testing.mediamtx import find_mediamtx

PROGRAM = """
import sys
from pathlib import Path

import anyio
from agent_core.base.clock import SystemClock
from agent_core.base.errors import StartFailed
from agent_core.config.sections import MediaServerConfig
from agent_core.mediamtx.managed import ManagedServer

program, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
ports = {"api_port": port and port + 1, "rtsp_port": port, "protocols": []}
config = MediaServerConfig.model_validate({"mode": "managed", "program": program, **ports})
try:
    anyio.run(ManagedServer(config, state_dir=folder, clock=SystemClock()).run)
except StartFailed as error:
    print(error.reason, "|", error.suggestion)
"""


NO_LOOPBACK = (
    "unshare",
    "--net",
    "sh",
    "-ec",
    'ip link set lo up; ip address del 127.0.0.1/8 dev lo; exec "$@"',
    "sh",
)


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("port", [0, 8554])
async def test_the_cause_is_said(tmp_path: Path, port: int) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    made = subprocess.run([*NO_LOOPBACK, "true"], check=False, capture_output=True)
    if os.geteuid() != 0 or made.returncode != 0:
        pytest.skip("a network without 127.0.0.1 needs root, unshare(1) and ip(8)")
    argv = [*NO_LOOPBACK, sys.executable, "-c", PROGRAM, str(program), str(tmp_path), str(port)]
    with anyio.fail_after(60):
        done = await anyio.run_process(argv)
    reason, _, suggestion = done.stdout.decode().strip().partition(" | ")
    assert reason == "host_not_here"
    assert "loopback interface" in suggestion
