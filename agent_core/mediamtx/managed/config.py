"""The configuration of a MediaMTX that the agent runs: decided here, without I/O but for finding free ports."""

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

#: The oldest version whose answers the client reads.
OLDEST: Version = (1, 9, 0)
_RTSP_TRANSPORTS_SINCE: Version = (1, 11, 0)
_MOQ_SINCE: Version = (1, 19, 0)
_LOOPBACK = ["127.0.0.1/32", "::1/128"]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where it listens; None for what it does not serve. All are TCP but `webrtc_udp`."""

    api: int
    rtsp: int
    hls: int | None
    webrtc: int | None
    webrtc_udp: int | None

    @classmethod
    def of(cls, settings: MediaServerConfig) -> "Ports":
        """As configured, and free ones for 0. Somebody may take such a port before the server does."""
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
        """The key under `media_server` that the port is configured with."""
        names = (
            name for name in ("api", "rtsp", "hls", "webrtc", "webrtc_udp") if getattr(self, name) == port
        )
        return f"{next(names, 'rtsp')}_port"


def _free(held: ExitStack, kind: socket.SocketKind) -> int:
    """Held until all are known, so that no two are the same."""
    one = held.enter_context(socket.socket(type=kind))
    one.bind(("127.0.0.1", 0))
    return int(one.getsockname()[1])


def configuration(
    settings: MediaServerConfig, ports: Ports, credentials: Credentials, version: Version
) -> bytes:
    """The file's content: JSON, which is YAML too. It has the passwords' hashes only.

    A key that a version does not know makes it refuse the file, so there is none without need.
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
        # Nothing is deleted but by the agent, and no one takes the place of a publisher that is there.
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
    """Publishing needs no password on this host: the publisher's command line must not have one (decision 14)."""
    anybody_here = ["publish"] if settings.read_user else ["publish", "read"]
    users = [
        _user("any", None, _LOOPBACK, anybody_here),
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
