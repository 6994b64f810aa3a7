"""Secrets for the broker, read from their files at each connection so that a change needs no restart."""

import os
import ssl
import stat
from pathlib import Path

from agent_core.plugin import DependencyFailed
from agent_core.plugin.state import read_small
from mqtt_bridge.settings import MqttBridgeSettings, TlsSettings

__all__ = ("Credentials", "read_credentials")

_LONGEST_BYTES = 65_535


class Credentials:
    """Password and TLS context of one connection; its text form does not show them."""

    def __init__(self, password: str | None, tls: ssl.SSLContext | None) -> None:
        self.password = password
        self.tls = tls


def read_credentials(settings: MqttBridgeSettings) -> Credentials:
    """Read the files that the settings name. Blocks on the disk.

    Raises:
        DependencyFailed: a file cannot be read or used, or other accounts can read it.
    """
    address = settings.address
    password = None if settings.password_file is None else _password(settings.password_file)
    tls = _context(settings.tls) if address is not None and address.tls else None
    return Credentials(password, tls)


def _password(path: Path) -> str:
    _refuse_exposed(path, "password_file")
    try:
        first, *_ = read_small(path, follow=True, limit_bytes=_LONGEST_BYTES).decode().splitlines() or [""]
    except OSError as error:
        raise _unreadable(path, "password_file", error) from error
    except UnicodeDecodeError as error:
        raise _failed(
            f"The file {path} (password_file) is not UTF-8 text.", "Write the password as UTF-8."
        ) from error
    if not first:
        raise _failed(
            f"The file {path} (password_file) has no password on its first line.", "Write the password to it."
        )
    return first


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca_file is None:
        context.load_default_certs()
    else:
        _load_authorities(context, settings.ca_file)
    if settings.certificate_file is not None and settings.key_file is not None:
        _load_own(context, settings.certificate_file, settings.key_file)
    return context


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cadata=read_small(path, follow=True).decode())
    except (ssl.SSLError, ValueError) as error:
        raise _failed(
            f"The file {path} (tls.ca_file) holds no certificate in PEM format.", "Check the file."
        ) from error
    except OSError as error:
        raise _unreadable(path, "tls.ca_file", error) from error


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _refuse_exposed(key, "tls.key_file")

    def no_password() -> str:
        # Else OpenSSL would ask for it on the terminal.
        raise ValueError("the key has a password")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        raise _failed(
            f"The files {certificate} and {key} are not a certificate and its key: {(error.reason or 'not PEM').lower()}.",
            "Check certificate_file and key_file in [plugins.mqtt_bridge.tls].",
        ) from error
    except OSError as error:
        raise _unreadable(certificate, "tls.certificate_file", error) from error
    except ValueError as error:
        raise _failed(
            f"The file {key} (tls.key_file) needs a password.",
            "Store the key without one, readable by the agent only.",
        ) from error


def _refuse_exposed(path: Path, setting: str) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, setting, error) from error
    if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _failed(
            f"The file {path} ({setting}) can be read or written by all accounts of this host.",
            f"Run `chmod o= {path}`, and change the secret if others may have read it.",
        )


def _unreadable(path: Path, setting: str, error: OSError) -> DependencyFailed:
    return _failed(
        f"The file {path} ({setting}) cannot be read: {(error.strerror or str(error)).lower()}.",
        f"Give the agent's account (user id {os.geteuid()}) read permission on it.",
    )


def _failed(details: str, suggestion: str) -> DependencyFailed:
    return DependencyFailed(
        details, reason="mqtt_credentials", dependency="configuration", suggestion=suggestion
    )
