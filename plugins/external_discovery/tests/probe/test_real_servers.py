"""Probes of a real MediaMTX, with and without password."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from agent_core.plugin.rtsp import Credentials
from agent_core.testing.mediamtx import find_mediamtx, publisher_command, running_mediamtx
from external_discovery.probe import ProbeOutcome, ProbeTarget, probe
from plugins.external_discovery.tests.odd_servers import LOOPBACK

pytestmark = [pytest.mark.anyio, pytest.mark.real_mediamtx]

PATIENT_S = 20.0
RIGHT = Credentials("viewer", "right+pass@word")
WRONG = Credentials("viewer", "wrong")
ACCESS = [
    {"user": "any", "ips": ["127.0.0.1"], "permissions": [{"action": "publish"}, {"action": "api"}]},
    {"user": RIGHT.user, "pass": RIGHT.password, "permissions": [{"action": "read"}]},
]


@asynccontextmanager
async def mediamtx(folder: Path, settings: Mapping[str, object]) -> AsyncIterator[ProbeTarget]:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX: set MEDIAMTX_BIN or put mediamtx on PATH")
    paths = {"live": {"source": "publisher", "runOnDemand": publisher_command()}}
    async with running_mediamtx(program, folder, settings={"paths": paths, **settings}) as server:
        yield ProbeTarget(LOOPBACK, urlsplit(server.rtsp_url).port or 0, "/live", "127.0.0.1")


async def test_a_stream_without_password(tmp_path: Path) -> None:
    async with mediamtx(tmp_path, {}) as target:
        found = await probe(target, timeout_s=PATIENT_S)
        missing = await probe(
            ProbeTarget(target.address, target.port, "/other", target.host), timeout_s=PATIENT_S
        )
    assert found.outcome is ProbeOutcome.STREAM
    assert [(track.kind, track.codec) for track in found.tracks] == [("video", "H264")]
    assert found.server
    assert missing.outcome is ProbeOutcome.NOT_FOUND


@pytest.mark.parametrize("method", ["basic", "digest"])
async def test_a_password(method: str, tmp_path: Path) -> None:
    settings = {"rtspAuthMethods": [method], "authInternalUsers": ACCESS}
    async with mediamtx(tmp_path, settings) as target:
        without = await probe(target, timeout_s=PATIENT_S)
        wrong = await probe(target, credentials=WRONG, timeout_s=PATIENT_S)
        right = await probe(target, credentials=RIGHT, timeout_s=PATIENT_S)
    assert without.outcome is ProbeOutcome.NEEDS_CREDENTIALS
    assert wrong.outcome is ProbeOutcome.WRONG_CREDENTIALS
    assert right.outcome is ProbeOutcome.STREAM
    assert RIGHT.password not in str((without, wrong, right))


async def test_many_probes_at_once(tmp_path: Path) -> None:
    outcomes = []
    async with mediamtx(tmp_path, {}) as target:

        async def one() -> None:
            outcomes.append((await probe(target, timeout_s=PATIENT_S)).outcome)

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    assert outcomes == [ProbeOutcome.STREAM] * 30
