"""Real Mosquitto for tests: on a free port, with users, access lists and TLS, to be killed and started again."""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import anyio
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent_core.testing.mediamtx import free_ports

from .broker_process import BrokerProcess

__all__ = ("Certificates", "Mosquitto", "Seen", "find_mosquitto", "running_mosquitto", "watching")


def find_mosquitto() -> str | None:
    """Return the program that `MOSQUITTO_BIN` names, else Debian's, else None."""
    named = os.environ.get("MOSQUITTO_BIN")
    return (
        shutil.which(named) if named else shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    )


@dataclass(frozen=True, slots=True)
class Certificates:
    """Authority, server certificate for `localhost`, and client certificate `agent`, all made for one test."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *, server_days: int = 2) -> "Certificates":
        if shutil.which("openssl") is None:
            pytest.skip("no openssl to make certificates with")
        folder.mkdir(exist_ok=True)
        made = cls(folder)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        _openssl(
            "req", "-x509", *key, "-subj", "/CN=test authority", "-keyout", folder / "ca.key", "-out", made.ca
        )
        for name in ("localhost", "agent"):
            request, extra = folder / f"{name}.csr", folder / f"{name}.ext"
            extra.write_text(f"subjectAltName=DNS:{name}\n")
            _openssl(
                "req", *key[:-2], "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", request
            )
            days = server_days if name == "localhost" else 2
            authority = ("-CA", made.ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", days)
            _openssl(
                "x509", "-req", "-in", request, *authority, "-extfile", extra, "-out", folder / f"{name}.pem"
            )
            (folder / f"{name}.key").chmod(0o600)
        return made

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def client(self) -> tuple[Path, Path]:
        """Certificate and key of the client."""
        return self.folder / "agent.pem", self.folder / "agent.key"


def _openssl(*words: str | int | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@dataclass
class Mosquitto(BrokerProcess):
    """Mosquitto with its configuration, log and retained messages in `folder`."""

    folder: Path = Path()

    @property
    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text()


@asynccontextmanager
async def running_mosquitto(
    folder: Path,
    *,
    lines: Sequence[str] = (),
    users: Mapping[str, str] | None = None,
    acl: str = "",
    tls: Certificates | None = None,
    ask_certificate: bool = False,
    persistent: bool = False,
    host: str = "127.0.0.1",
    port: int | None = None,
    launcher: Sequence[str] = (),
) -> AsyncIterator[Mosquitto]:
    """Run a broker while the context is open; skips where there is no Mosquitto.

    Args:
        folder: folder of its own.
        lines: further lines of its configuration, such as `message_size_limit 1000`.
        users: names and passwords; None: everyone may connect.
        acl: content of its access list; empty for none.
        tls: certificates, for a listener with TLS.
        ask_certificate: with TLS, refuse clients without a certificate.
        persistent: keep retained messages over a stop, but not over a kill.
        host: address to listen on.
        port: port; default: a free one.
        launcher: words before the command, such as those that enter a network namespace.
    """
    program = find_mosquitto()
    if program is None:
        pytest.skip("needs Mosquitto: install Debian's mosquitto, or set MOSQUITTO_BIN")
    folder.mkdir(exist_ok=True)
    config = [*lines]
    if users is None:
        config += ["allow_anonymous true"]
    else:
        _write_passwords(folder / "passwords", users)
        config += ["allow_anonymous false", f"password_file {folder}/passwords"]
    if acl:
        (folder / "acl").write_text(acl)
        config += [f"acl_file {folder}/acl"]
    if tls is not None:
        config += [
            f"cafile {tls.ca}",
            f"certfile {tls.folder}/localhost.pem",
            f"keyfile {tls.folder}/localhost.key",
        ]
        config += [f"require_certificate {'true' if ask_certificate else 'false'}"]
    if persistent:
        config += [
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
        ]
    port = port or free_ports()[0]
    first = (
        *_first_lines(),
        f"log_dest file {folder}/mosquitto.log",
        "log_type all",
        f"listener {port} {host}",
    )
    (folder / "mosquitto.conf").write_text("\n".join((*first, *config, "")))
    words = (*launcher, program, "-c", f"{folder}/mosquitto.conf")
    broker = Mosquitto(words, port, host, folder=folder)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _first_lines() -> Sequence[str]:
    """Return what must come before the listener; a root without rights over others' files keeps its account."""
    return ("per_listener_settings false", *(("user root",) if os.geteuid() == 0 else ()))


def _write_passwords(path: Path, users: Mapping[str, str]) -> None:
    # Plain text, which the tool then encrypts: no password in a command line.
    path.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    path.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True)


class Seen:
    """Messages that a client of the broker has received, in order; and a client to publish with."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.messages: list[aiomqtt.Message] = []
        self._arrived = anyio.Event()

    def of(self, topic: str) -> list[bytes]:
        """Return the payloads of one topic."""
        return [bytes(each.payload) for each in self.messages if each.topic.value == topic]

    def last(self, topic: str) -> bytes | None:
        """Return the last payload of one topic."""
        return next(reversed(self.of(topic)), None)

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Wait until the messages fulfil a condition.

        Raises:
            TimeoutError: they did not in time.
        """
        with anyio.fail_after(timeout_s):
            while not condition():
                await self._arrived.wait()

    async def follow(self) -> None:
        """Follow the connection to its end."""
        with suppress(aiomqtt.MqttError):
            async for message in self.client.messages:
                self.messages.append(message)
                self._arrived.set()
                self._arrived = anyio.Event()


@asynccontextmanager
async def watching(
    broker: BrokerProcess, *filters: str, user: str | None = None, password: str | None = None
) -> AsyncIterator[Seen]:
    """Subscribe as a client of its own, with retained messages as they are, while the context is open."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = 100_000_000
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        username=user,
        password=password,
        properties=properties,
        clean_start=True,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    ) as client:
        seen = Seen(client)
        for each in filters:
            await client.subscribe(each, qos=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seen.follow)
            yield seen
            tasks.cancel_scope.cancel()
