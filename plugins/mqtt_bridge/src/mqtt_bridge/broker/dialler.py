"""Connections to a broker's address, over TCP and TLS, without blocking the event loop or its end."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence

import anyio

from agent_core.plugin import WorkerPool
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import ConnectionRefused
from mqtt_bridge.broker.reasons import BrokerProblem

__all__ = ("Dialler",)

#: Head start of each of a host's addresses before the next one, as in RFC 8305.
_HEAD_START_S = 0.25
#: Addresses of one host that are tried.
_ADDRESSES = 8

Resolved = tuple[socket.AddressFamily, tuple[object, ...]]


class Dialler:
    """Opens connections. A name server that hangs occupies its threads and nothing else."""

    def __init__(self) -> None:
        self._resolving = WorkerPool(2)

    async def open(
        self, address: BrokerAddress, tls: ssl.SSLContext | None, server_name: str | None
    ) -> socket.socket:
        """Return a connected socket that does not block; the caller closes it.

        Args:
            address: the broker.
            tls: context of TLS; None for none.
            server_name: name that the broker's certificate must have; default: the address's host.

        Raises:
            ConnectionRefused: no connection is possible now.
        """
        raw = await _connect(address, await self.resolve(address))
        if tls is None:
            return raw
        try:
            return await _secure(raw, tls, server_name or address.host.partition("%")[0])
        except BaseException:
            raw.close()
            raise

    async def resolve(self, address: BrokerAddress) -> Sequence[Resolved]:
        """Return the host's addresses, of both families in turn.

        Raises:
            ConnectionRefused: the host has none, or the name server does not answer.
        """
        try:
            return await self._resolving.run_abandonable(_look_up, address.host, address.port)
        except (OSError, UnicodeError) as error:
            words = (
                error.strerror if isinstance(error, OSError) and error.strerror else "the name is not valid"
            )
            raise ConnectionRefused(
                BrokerProblem(
                    "mqtt_unresolved",
                    f"The host of the MQTT broker, {address.host}, is not found: {words}.",
                    "Check url in [plugins.mqtt_bridge] and the name server.",
                )
            ) from error


def _look_up(host: str, port: int) -> Sequence[Resolved]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    by_family: dict[socket.AddressFamily, list[Resolved]] = {}
    for family, _, _, _, place in found:
        by_family.setdefault(family, []).append((family, place))
    longest = max(map(len, by_family.values()), default=0)
    turns = (group[turn] for turn in range(longest) for group in by_family.values() if turn < len(group))
    return [*turns][:_ADDRESSES]


async def _connect(address: BrokerAddress, places: Sequence[Resolved]) -> socket.socket:
    """Return the first connection, begun one after the other until one succeeds."""
    made: list[socket.socket] = []
    errors: list[OSError] = []
    try:
        await _attempt_all(places, made, errors)
    except BaseException:  # cancelled in the moment in which one was made
        for each in made:
            each.close()
        raise
    for spare in made[1:]:
        spare.close()
    if made:
        return made[0]
    raise ConnectionRefused(_unreachable(address, errors))


async def _attempt_all(places: Sequence[Resolved], made: list[socket.socket], errors: list[OSError]) -> None:
    """Begin connections one after the other until one is made; append to `made` and `errors`."""
    async with anyio.create_task_group() as attempts:

        async def attempt(place: Resolved, failed: anyio.Event) -> None:
            try:
                raw = await _connect_one(place)
            except OSError as error:
                errors.append(error)
                failed.set()
            else:
                made.append(raw)
                attempts.cancel_scope.cancel()

        for place in places:
            failed = anyio.Event()
            attempts.start_soon(attempt, place, failed)
            with anyio.move_on_after(_HEAD_START_S):
                await failed.wait()


async def _connect_one(place: Resolved) -> socket.socket:
    family, target = place
    raw = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        raw.setblocking(False)  # noqa: FBT003 - the standard library's interface
        # Without it a packet waits for the acknowledgement of the one before, 40 ms and more.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(raw, target)
    except BaseException:
        raw.close()
        raise
    return raw


async def _secure(raw: socket.socket, tls: ssl.SSLContext, server_name: str) -> ssl.SSLSocket:
    """Return the socket with TLS; it takes the descriptor over, and closes it at a failure."""
    try:
        secured = tls.wrap_socket(raw, server_hostname=server_name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        raise ConnectionRefused(_insecure(error, server_name)) from error
    try:
        await _shake_hands(secured)
    except OSError as error:
        secured.close()
        raise ConnectionRefused(_insecure(error, server_name)) from error
    except BaseException:
        secured.close()
        raise
    return secured


async def _shake_hands(secured: ssl.SSLSocket) -> None:
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            await anyio.wait_readable(secured)
        except ssl.SSLWantWriteError:
            await anyio.wait_writable(secured)
        else:
            return


def _unreachable(address: BrokerAddress, errors: Sequence[OSError]) -> BrokerProblem:
    known = next((each for each in errors if each.errno == errno.ECONNREFUSED), errors[0] if errors else None)
    words = os.strerror(known.errno) if known is not None and known.errno else "no address"
    return BrokerProblem(
        "mqtt_unreachable",
        f"The MQTT broker {address} cannot be reached: {words}.",
        "Check that it runs and listens there, and that no firewall is between.",
    )


#: Codes of OpenSSL: a certificate is not valid yet, or no more.
_UNTIMELY = frozenset({9, 10})


def _insecure(error: Exception, server_name: str) -> BrokerProblem:
    if isinstance(error, ssl.SSLCertVerificationError):
        details = f"The certificate of the MQTT broker is not valid for {server_name}: {error.verify_message.rstrip('.')}."
        if error.verify_code in _UNTIMELY:
            return BrokerProblem(
                "mqtt_certificate_time",
                details,
                "Check the clock of this host, which may be wrong after a start without a network; renew the certificate.",
            )
        return BrokerProblem(
            "mqtt_certificate",
            details,
            "Set ca_file, or server_name if the certificate has another name, in [plugins.mqtt_bridge.tls].",
        )
    reason = getattr(error, "reason", None)
    words = str(reason).lower().replace("_", " ") if reason else "it closed the connection"
    return BrokerProblem(
        "mqtt_tls",
        f"The MQTT broker and the agent found no TLS connection: {words}.",
        "Check that the port is one for TLS, and if the broker asks for a client certificate.",
    )
