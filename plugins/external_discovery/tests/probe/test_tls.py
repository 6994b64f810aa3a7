"""Probes over TLS: only a certificate that the system trusts lets a password through."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from agent_core.plugin.rtsp import Credentials, Response
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget, probe
from plugins.external_discovery.tests.odd_servers import H264, LOOPBACK, Script

pytestmark = pytest.mark.anyio


@dataclass
class Camera:
    target: ProbeTarget
    script: Script


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=camera.test"
    subprocess.run(
        [
            *command.split(),
            "-addext",
            "subjectAltName=DNS:camera.test",
            "-keyout",
            "key.pem",
            "-out",
            "crt.pem",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path / "crt.pem"


@asynccontextmanager
async def camera(certificate: Path, host: str = "camera.test") -> AsyncIterator[Camera]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    script = Script(lambda _: Response(200, body=H264))

    async def serve(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            try:
                await script(stream)  # type: ignore[arg-type] # it only sends and receives
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain:
        port: int = plain.extra(SocketAttribute.local_port)  # noqa: S610 # not Django
        listener = TLSListener(plain, context, standard_compatible=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            yield Camera(ProbeTarget(LOOPBACK, port, "/live", host, tls=True), script)
            tasks.cancel_scope.cancel()


async def ask(found: Camera) -> Probe:
    return await probe(found.target, credentials=Credentials("viewer", "right"), timeout_s=20)


async def test_a_trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with camera(certificate) as found:
        assert (await ask(found)).outcome is ProbeOutcome.STREAM
        assert found.script.requests[0].uri.startswith("rtsps://camera.test:")


async def test_a_certificate_that_is_not_trusted(certificate: Path) -> None:
    async with camera(certificate) as found:
        outcome = await ask(found)
    assert outcome.outcome is ProbeOutcome.NOT_RTSP
    assert "certificate is not trusted" in outcome.details
    assert found.script.requests == []


async def test_a_trusted_certificate_of_another_host(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with camera(certificate, "other.test") as found:
        assert "certificate is not trusted" in (await ask(found)).details
    assert found.script.requests == []
