"""WS-Discovery messages (OASIS 2005/04, as ONVIF's core specification uses it): what is asked, and what an answer says."""

import re
from dataclasses import dataclass
from urllib.parse import unquote
from uuid import UUID

from external_discovery.discovery.onvif.xml import Element, XmlRefused, parse
from external_discovery.tracks import printable

__all__ = ("PROBE_TYPES", "DeviceAnswer", "answers_of", "probe_message")

#: Types that are asked for in a message each: one that names both is answered only by devices that have both.
PROBE_TYPES = ("dn:NetworkVideoTransmitter", "tds:Device")
_PROBE = """\
<?xml version="1.0" encoding="UTF-8"?>\
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" \
xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl" \
xmlns:tds="http://www.onvif.org/ver10/device/wsdl">\
<s:Header><a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
<a:MessageID>urn:uuid:{message_id}</a:MessageID>\
<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
<s:Body><d:Probe><d:Types>{types}</d:Types></d:Probe></s:Body></s:Envelope>"""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SCOPE = re.compile(r"onvif://www\.onvif\.org/(name|hardware)/(\S+)", re.IGNORECASE)
#: Most devices in one answer, and addresses of one device. A camera has one, and up to four.
_MOST_MATCHES = 16
_MOST_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """Device in an answer.

    Attributes:
        endpoint: id of the device, the same in all its answers.
        name: name or model from its scopes; empty if it gives none.
        addresses: addresses of its device service, unchecked.
    """

    endpoint: str
    name: str
    addresses: tuple[str, ...]


def probe_message(message_id: UUID, types: str) -> bytes:
    """Return the search for devices of `types`, one of `PROBE_TYPES`."""
    return _PROBE.format(message_id=message_id, types=types).encode()


def answers_of(data: bytes, asked: frozenset[UUID]) -> tuple[DeviceAnswer, ...]:
    """Return the ONVIF devices in a datagram.

    Args:
        data: the datagram.
        asked: ids of our own messages. An answer to another message is not for us, or made up.

    Raises:
        XmlRefused: the datagram is not XML, or answers no message of ours.
    """
    envelope = parse(data)
    related = _UUID.search(envelope.value("Header", "RelatesTo"))
    if related is None or UUID(related[0]) not in asked:
        raise XmlRefused("It answers no message of ours.")
    matches = list(envelope.all("ProbeMatch"))[:_MOST_MATCHES]
    return tuple(found for match in matches if (found := _device(match)) is not None)


def _device(match: Element) -> DeviceAnswer | None:
    scopes, types = match.value("Scopes"), match.value("Types")
    addresses = tuple(match.value("XAddrs").split())[:_MOST_ADDRESSES]
    signs = (scopes.lower(), types.lower(), " ".join(addresses).lower())
    if not addresses or not any("onvif" in sign or "networkvideotransmitter" in sign for sign in signs):
        return None  # a printer or a computer
    endpoint = printable(match.value("EndpointReference", "Address"))
    return DeviceAnswer(endpoint or printable(addresses[0]), _name(scopes), addresses)


def _name(scopes: str) -> str:
    found = {kind.lower(): printable(unquote(value)) for kind, value in _SCOPE.findall(scopes)}
    return found.get("name") or found.get("hardware") or ""
