"""Access of the fleet's commands: the broker and the key, from options or the environment."""

import argparse
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from agent_core.plugin.commands import AuthenticationFailed, CommandFailed, Unreachable, UsageFailed
from agent_core.plugin.state import explain_os_error, read_small
from mqtt_bridge.client import BrokerAccess, BrokerRefused, BrokerUnreachable, FleetClient, Selector
from mqtt_bridge.client.keys import CallKeys

__all__ = ("chosen", "connected", "given_file", "read_key", "run")

_PREFIX = "camera-agent"
_KEY_BYTES = 1000

T = TypeVar("T")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in an event loop, with the broker's failures as those of a command."""
    try:
        return anyio.run(work)
    except BrokerUnreachable as error:
        raise Unreachable(error.details, reason=error.reason, suggestion=error.suggestion) from error
    except BrokerRefused as error:
        raise AuthenticationFailed(error.details, reason=error.reason, suggestion=error.suggestion) from error


@asynccontextmanager
async def connected(arguments: argparse.Namespace, *, needs_key: bool = False) -> AsyncGenerator[FleetClient]:
    """Connect to the broker that the options or the environment name.

    Raises:
        UsageFailed: none is named, or an option cannot be used.
        CommandFailed: a file cannot be used.
        BrokerUnreachable: no broker answers.
        BrokerRefused: the broker refuses this client.
    """
    async with _client(arguments, needs_key=needs_key) as client:
        yield client


def _client(arguments: argparse.Namespace, *, needs_key: bool) -> FleetClient:
    url = _given(arguments, "mqtt")
    if not url:
        raise UsageFailed(
            "No broker is named.",
            reason="no_broker",
            suggestion="Give --mqtt mqtt://HOST:1883, or set CAMERA_AGENT_MQTT.",
        )
    file = given_file(arguments, "mqtt_key_file")
    keys = read_key(file) if file is not None else None
    if keys is None and needs_key:
        raise UsageFailed(
            "No key is given to sign the calls with.",
            reason="no_key",
            suggestion="Give --mqtt-key-file FILE, or set CAMERA_AGENT_MQTT_KEY_FILE; see `camera-agent fleet new-key --help`.",
        )
    try:
        return FleetClient(
            BrokerAccess(
                url,
                user=_given(arguments, "mqtt_user"),
                password_file=given_file(arguments, "mqtt_password_file"),
                ca_file=given_file(arguments, "mqtt_ca_file"),
                certificate_file=given_file(arguments, "mqtt_certificate_file"),
                key_file=given_file(arguments, "mqtt_certificate_key_file"),
                server_name=_given(arguments, "mqtt_server_name"),
            ),
            key=None if keys is None or keys.is_of_fleet else keys.text,
            fleet_key=keys.text if keys is not None and keys.is_of_fleet else None,
            prefix=_given(arguments, "mqtt_prefix") or _PREFIX,
            deadline_s=getattr(arguments, "deadline", 20.0),
        )
    except ValueError as error:
        raise UsageFailed(
            f"The options for the broker cannot be used: {error}.",
            reason="bad_broker",
            suggestion="See `camera-agent fleet list --help`.",
        ) from error


def chosen(text: str) -> Selector:
    """Return the selector in an argument. Raises UsageFailed."""
    try:
        return Selector.parse(text)
    except ValueError as error:
        raise UsageFailed(
            f"The selector cannot be used: {error}.",
            reason="bad_selector",
            suggestion="See `camera-agent fleet list` for the agents and their labels.",
        ) from error


def read_key(path: Path) -> CallKeys:
    """Return the key in a file that only its owner and group can read. Raises AgentError."""
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise CommandFailed(
                f"The key file {path} can be read or written by all accounts of this host.",
                reason="key_file",
                suggestion=f"Run `chmod o= {path}`, and make another key if others may have read it.",
            )
        return CallKeys(read_small(path, follow=True, limit_bytes=_KEY_BYTES).decode().strip())
    except OSError as error:
        raise explain_os_error(error, f"read the key file {path}") from error
    except ValueError as error:
        raise CommandFailed(
            f"The key file {path} cannot be used: {error}.",
            reason="key_file",
            suggestion="Give the path of a file that contains only a key, as `camera-agent fleet new-key` makes it.",
        ) from error


def _given(arguments: argparse.Namespace, name: str) -> str | None:
    given = getattr(arguments, name, None)
    return str(given) if given is not None else os.environ.get(f"CAMERA_AGENT_{name.upper()}") or None


def given_file(arguments: argparse.Namespace, name: str) -> Path | None:
    """Return the file that an option or its variable names; None without one."""
    given = _given(arguments, name)
    return None if given is None else Path(given)
