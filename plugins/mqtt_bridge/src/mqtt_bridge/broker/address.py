"""Address of a broker, as an operator writes it."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

__all__ = ("BrokerAddress",)

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_EXAMPLES = "write mqtt://HOST, mqtts://HOST for TLS, or with a port mqtt://HOST:1883"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Host, without brackets, and port; `tls` for an encrypted connection."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "BrokerAddress":
        """Return the address in a URL.

        Raises:
            ValueError: it is not the URL of a broker; the message does not repeat it, as it may hold a password.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise ValueError(
                f"the URL has no valid host or port: {_EXAMPLES}, and put IPv6 addresses in brackets"
            ) from None
        _refuse(parts)
        host = (parts.hostname or "").replace("%25", "%")
        if not host or any(each.isspace() for each in host):
            raise ValueError(f"the URL names no host: {_EXAMPLES}")
        if port == 0:
            raise ValueError(f"the URL has the port 0, where nothing can listen: {_EXAMPLES}")
        return cls(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def _refuse(parts: SplitResult) -> None:
    if parts.scheme in {"ws", "wss"}:
        raise ValueError(f"MQTT over WebSockets is not supported: {_EXAMPLES}")
    if parts.scheme not in _PORTS:
        raise ValueError(f"the URL does not begin with mqtt:// or mqtts://: {_EXAMPLES}")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user or password: use user and password_file instead")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            "the URL has more than a host and a port: remove what follows; topics begin with prefix"
        )
