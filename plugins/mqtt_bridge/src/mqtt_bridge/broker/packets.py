"""Packets of MQTT 5 in the bytes from a broker, checked before the library parses them.

The library reads any length into memory, and its time grows with the square of a packet's properties: a broker, or a
client that publishes through it, could stop the whole agent.
"""

from typing import Final

__all__ = ("BrokerMisbehaves", "PacketReader")

#: Longest properties of a packet that are parsed, and longest packet that carries no message.
_PROPERTIES_BYTES: Final = 8192
_PUBLISH: Final = 3
_PUBACK: Final = 4
#: Reason codes of PUBACK in MQTT 5.
_ACKNOWLEDGED: Final = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
_HEADER_BYTES: Final = 5


class BrokerMisbehaves(ConnectionError):
    """Broker has sent what MQTT 5 does not allow; the text ends a sentence `The broker ...`."""


class PacketReader:
    """Splits bytes into whole packets.

    Args:
        limit_bytes: largest packet.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the packets that are whole now.

        Too many properties of a message are left out, and with them its payload: it then has no sender, and is
        acknowledged all the same.

        Raises:
            BrokerMisbehaves: a packet is not one that the agent has asked for.
        """
        held = self._held
        held += data
        packets = []
        while (size_bytes := self._next_bytes()) is not None and size_bytes <= len(held):
            packets.append(_checked(bytes(held[:size_bytes])))
            del held[:size_bytes]
        return packets

    def _next_bytes(self) -> int | None:
        """Return the size of the packet at the beginning; None if that is not known yet."""
        held = self._held
        if len(held) < 2:
            return None
        length, used = _variable_integer(bytes(held[1:_HEADER_BYTES]))
        if used == 0:
            if len(held) >= _HEADER_BYTES:
                raise BrokerMisbehaves("sends a packet without a valid length")
            return None
        limit_bytes = self._limit_bytes if held[0] >> 4 == _PUBLISH else _PROPERTIES_BYTES
        if length > limit_bytes:
            raise BrokerMisbehaves(
                f"sends a packet of {length} bytes, more than the {limit_bytes} that the agent accepts"
            )
        return 1 + used + length


def _variable_integer(data: bytes) -> tuple[int, int]:
    """Return a variable byte integer and its length; the length is 0 if it does not end within four bytes of `data`."""
    value = 0
    for index, byte in enumerate(data[:4]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, index + 1
    return 0, 0


def _checked(packet: bytes) -> bytes:
    """Return a packet that the library can parse, and in time."""
    if packet[0] >> 4 == _PUBACK:
        return _plain_acknowledgement(packet)
    if packet[0] >> 4 != _PUBLISH:
        return packet
    qos = packet[0] >> 1 & 3
    if qos > 1:
        raise BrokerMisbehaves(
            f"sends a message with the quality of service {qos}, which the agent did not ask for"
        )
    body = 1 + _variable_integer(packet[1:_HEADER_BYTES])[1]
    topic_bytes = int.from_bytes(packet[body : body + 2])
    properties = body + 2 + topic_bytes + (2 if qos else 0)
    length, used = _variable_integer(packet[properties : properties + 4])
    if topic_bytes == 0 or used == 0 or properties + used + length > len(packet):
        raise BrokerMisbehaves("sends a message whose parts do not fit into it")
    if length <= _PROPERTIES_BYTES:
        return packet
    return _without_properties(packet[0], packet[body:properties])


def _plain_acknowledgement(packet: bytes) -> bytes:
    """Return an acknowledgement without properties, and with a code of MQTT 5.

    mochi-mqtt 2.7 answers a message that has properties with the code 1 and these properties.
    """
    body = 1 + _variable_integer(packet[1:_HEADER_BYTES])[1]
    if len(packet) - body <= 2:
        return packet
    code = packet[body + 2]
    if code not in _ACKNOWLEDGED:
        code &= 0x80
    return bytes((packet[0], 3)) + packet[body : body + 2] + bytes((code,))


def _without_properties(first: int, head: bytes) -> bytes:
    length = len(head) + 1
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((first, *encoded)) + head + b"\0"
