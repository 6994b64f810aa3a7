"""Configuration of the managed MediaMTX. Does no I/O except the search for free ports."""

import base64
import hashlib
import json
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from agent_core.config.sections import MediaServerConfig
from agent_core.plugin.rtsp import Credentials

__all__ = ("OLDEST", "Ports", "Version", "configuration")

Version = tuple[int, int, int]

#: The oldest version whose answers the client can read.
OLDEST: Version = (1, 9, 0)
_RTSP_TRANSPORTS_SINCE: Version = (1, 11, 0)
_MOQ_SINCE: Version = (1, 19, 0)
_LOOPBACK = ["127.0.0.1/32", "::1/128"]


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the server; None for protocols that it does not serve. All are TCP except `webrtc_udp`."""

    api: int
    rtsp: int
    hls: int | None
    webrtc: int | None
    webrtc_udp: int | None

    @classmethod
    def of(cls, settings: MediaServerConfig) -> "Ports":
        """Return the configured ports, and free ports for 0; another program may take those before the server does."""
        hls, webrtc = ("hls" in settings.protocols, "webrtc" in settings.protocols)
        with ExitStack() as held:

            def port(wanted: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
                return wanted or _free(held, kind)

            return cls(
                api=port(settings.api_port),
                rtsp=port(settings.rtsp_port),
                hls=port(settings.hls_port) if hls else None,
                webrtc=port(settings.webrtc_port) if webrtc else None,
                webrtc_udp=port(settings.webrtc_udp_port, socket.SOCK_DGRAM) if webrtc else None,
            )

    def setting(self, port: int) -> str:
        """Return the key of `port` under `media_server` in the configuration."""
        names = (
            name for name in ("api", "rtsp", "hls", "webrtc", "webrtc_udp") if getattr(self, name) == port
        )
        return f"{next(names, 'rtsp')}_port"


def _free(held: ExitStack, kind: socket.SocketKind) -> int:
    """Return a free port; `held` reserves it, so that the next call returns another one."""
    one = held.enter_context(socket.socket(type=kind))
    one.bind(("127.0.0.1", 0))
    return int(one.getsockname()[1])


def configuration(
    settings: MediaServerConfig, ports: Ports, credentials: Credentials, version: Version
) -> bytes:
    """Return the content of the file in JSON, which is YAML too. Passwords are in it as hashes only.

    MediaMTX rejects unknown keys: write only those that are needed and that `version` knows.
    """
    host = "127.0.0.1" if settings.listen == "loopback" else ""
    content: dict[str, object] = {
        "logLevel": "info",
        "logDestinations": ["stdout"],
        "authInternalUsers": _users(settings, credentials),
        "api": True,
        "apiAddress": f"127.0.0.1:{ports.api}",
        "rtspAddress": f"{host}:{ports.rtsp}",
        "rtspTransports" if version >= _RTSP_TRANSPORTS_SINCE else "protocols": ["tcp"],
        **dict.fromkeys(("rtmp", "srt", *(["moq"] if version >= _MOQ_SINCE else [])), False),
        "hls": ports.hls is not None,
        "webrtc": ports.webrtc is not None,
        # Only the agent deletes recordings, and a publisher cannot replace another.
        "pathDefaults": {"recordDeleteAfter": "0s", "overridePublisher": False},
    }
    if ports.hls is not None:
        content["hlsAddress"] = f"{host}:{ports.hls}"
    if ports.webrtc is not None:
        content |= {
            "webrtcAddress": f"{host}:{ports.webrtc}",
            "webrtcLocalUDPAddress": f"{host}:{ports.webrtc_udp}",
            "webrtcAdditionalHosts": [settings.host] if settings.listen == "all" else [],
        }
    return json.dumps(content, indent=1).encode() + b"\n"


def _users(settings: MediaServerConfig, credentials: Credentials) -> list[object]:
    """Return the users. Publishing from this host needs no password: a command line must not have one (decision 14)."""
    anonymous = ["publish"] if settings.read_user else ["publish", "read"]
    users = [
        _user("any", None, _LOOPBACK, anonymous),
        _user(credentials.user, credentials.password, _LOOPBACK, ["api", "read"]),
    ]
    if settings.read_user and settings.read_password:
        users.append(_user(settings.read_user, settings.read_password.get_secret_value(), [], ["read"]))
    return users


def _user(name: str, password: str | None, networks: list[str], actions: list[str]) -> object:
    permissions = [{"action": action} for action in actions]
    hashed = "" if password is None else _hashed(password)
    return {"user": name, "pass": hashed, "ips": networks, "permissions": permissions}


def _hashed(password: str) -> str:
    return "sha256:" + base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()
