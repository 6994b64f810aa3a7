"""Access to a broker for a fleet client: its address and the files with credentials."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mqtt_bridge.broker.reasons import BrokerProblem
from mqtt_bridge.client.errors import BrokerRefused, BrokerUnreachable, FleetError
from mqtt_bridge.settings import MqttBridgeSettings, TlsSettings

__all__ = ("BrokerAccess", "fleet_error")

_CREDENTIALS = "Check the password file and the files with certificates and key of this client."
#: Next steps by the reason of a problem; those of the agent's bridge name its settings.
_STEPS = {
    "mqtt_unreachable": "Check that the broker runs and listens there, and that no firewall is between.",
    "mqtt_unresolved": "Check the broker's address and the name server.",
    "mqtt_timeout": "Check the network, and that the address is that of an MQTT broker.",
    "mqtt_certificate": "Name the certificates to trust, or the name in the broker's certificate.",
    "mqtt_certificate_time": "Check the clock of this host, and renew the broker's certificate.",
    "mqtt_tls": "Check that the port is one for TLS, and whether the broker asks for a client certificate.",
    "mqtt_malformed": "Check that the address is that of an MQTT 5 broker.",
    "mqtt_closed": "Check the broker's log, and whether the port needs mqtts://.",
    "mqtt_silent": "Check the network and the broker.",
    "mqtt_credentials": _CREDENTIALS,
}
#: Next steps by the broker's reason code, in place of those that name the settings of the bridge.
_STEPS_BY_CODE = {
    **dict.fromkeys(
        (0x86, 0x87, 0x8C), "Check user, password file and certificate, and the broker's list of users."
    ),
    **dict.fromkeys((0x9C, 0x9D), "Use the address of that server."),
    **dict.fromkeys((0x85, 0x8D, 0x8E, 0x90, 0x96), "See the broker's log."),
}
#: Reasons that another attempt does not mend.
_REFUSALS = frozenset(
    {"mqtt_refused", "mqtt_certificate", "mqtt_certificate_time", "mqtt_credentials", "mqtt_malformed"}
)


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Address of a broker and credentials for it.

    Attributes:
        url: `mqtt://HOST:1883` or `mqtts://HOST:8883`, IPv6 addresses in brackets.
        user: user name at the broker.
        password_file: file with its password on the first line, not readable by others.
        ca_file: certificates (PEM) of the authorities to trust; default: those of the system.
        certificate_file: certificate (PEM) of this client.
        key_file: private key of that certificate.
        server_name: name in the broker's certificate; default: the host of `url`.
    """

    url: str
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    def settings(self, prefix: str, connect_timeout_s: float, max_packet_bytes: int) -> MqttBridgeSettings:
        """Return the settings of a connection. Raises ValueError: something here cannot be used; the message is a clause."""
        try:
            return MqttBridgeSettings(
                url=self.url,
                prefix=prefix,
                user=self.user,
                password_file=self.password_file,
                tls=TlsSettings(
                    ca_file=self.ca_file,
                    certificate_file=self.certificate_file,
                    key_file=self.key_file,
                    server_name=self.server_name,
                ),
                connect_timeout_s=connect_timeout_s,
                max_packet_bytes=max_packet_bytes,
            )
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            message = str(first["msg"]).removeprefix("Value error, ")
            where = ".".join(str(each) for each in first["loc"])
            raise ValueError(f"{where}: {message}" if where else message) from None


def fleet_error(problem: BrokerProblem) -> FleetError:
    """Return the error of a client for a problem with the broker."""
    kind = BrokerRefused if problem.reason in _REFUSALS else BrokerUnreachable
    suggestion = _STEPS_BY_CODE.get(problem.code or 0) or _STEPS.get(problem.reason, problem.suggestion)
    return kind(problem.details, reason=problem.reason, suggestion=suggestion)
