"""AAC: its configuration (ISO/IEC 14496-3, 1.6.2.1), its packets (RFC 3640) and its headers in a transport stream."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent_core.plugin.video import BitReader, BitstreamError

__all__ = ("AacFormat", "aac_format", "access_units")

#: Sampling rates by their index (ISO/IEC 14496-3, table 1.18).
_RATES_HZ = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)
_EXPLICIT_RATE = 15
_LOW_COMPLEXITY = 2
#: Object types that extend another one by spectral band replication and parametric stereo.
_EXTENSIONS = (5, 29)
_FRAME_SAMPLES, _SHORT_FRAME_SAMPLES = 1024, 960
#: Field sizes of `AAC-hbr` (RFC 3640, section 3.3.6), which a description without them means.
_SIZE_BITS, _INDEX_BITS = 13, 3
_MAX_FIELD_BITS = 32
#: Units of a packet: 64 of the shortest fill 1.3 s.
_MAX_UNITS = 64
#: Channels of the configuration 7 (table 1.19); the others have as many as their number.
_CHANNELS_OF_7 = 8


@dataclass(frozen=True, slots=True)
class AacFormat:
    """Format of an AAC track.

    Attributes:
        config: the AudioSpecificConfig.
        object_type: that of the core, without extensions.
        sample_rate_hz: rate of the core, which is half of the RTP clock's if the band is replicated.
        frame_samples: samples of a frame at that rate.
        size_bits: size of the field for the size of a unit, and of those for its index.
    """

    config: bytes
    object_type: int
    sample_rate_hz: int
    channels: int
    frame_samples: int = _FRAME_SAMPLES
    size_bits: int = _SIZE_BITS
    index_bits: int = _INDEX_BITS
    delta_bits: int = _INDEX_BITS

    def frame_ticks(self, clock_rate_hz: int) -> int:
        """Return the duration of a frame in ticks of the RTP clock."""
        return round(self.frame_samples * clock_rate_hz / self.sample_rate_hz)

    def with_header(self, frame: bytes) -> bytes:
        """Return a frame as a transport stream has it, with an ADTS header (ISO/IEC 14496-3, 1.A.3.2)."""
        size = len(frame) + 7
        rate = _RATES_HZ.index(self.sample_rate_hz) if self.sample_rate_hz in _RATES_HZ else 4
        channels = 7 if self.channels == _CHANNELS_OF_7 else self.channels
        profile = min(max(self.object_type, 1), 4) - 1
        head = 0xFFF1 << 40 | profile << 38 | rate << 34 | channels << 30 | size << 13 | 0x7FF << 2
        return head.to_bytes(7, "big") + frame


def aac_format(parameters: Mapping[str, str], clock_rate_hz: int, channels: int) -> AacFormat | None:
    """Return the format that the parameters of a description specify; None for an unusable one.

    Cameras leave out `config`, which is required: low complexity at the rate of the RTP clock is then assumed.
    """
    try:
        config = bytes.fromhex(parameters.get("config", "").strip().strip('"'))
        found = _parsed(config) if config else _assumed(clock_rate_hz, channels)
        sizes = [
            int(parameters.get(key, default))
            for key, default in (
                ("sizelength", _SIZE_BITS),
                ("indexlength", _INDEX_BITS),
                ("indexdeltalength", _INDEX_BITS),
            )
        ]
    except (BitstreamError, ValueError):
        return None
    if found[3] > _CHANNELS_OF_7:
        return None
    if not (0 < sizes[0] <= _MAX_FIELD_BITS and all(0 <= size <= _MAX_FIELD_BITS for size in sizes)):
        return None
    return AacFormat(*found, *sizes)


def _parsed(config: bytes) -> tuple[bytes, int, int, int, int]:
    reader = BitReader(config)
    object_type, rate_hz = _object_type(reader), _rate_hz(reader)
    configuration = reader.bits(4)
    if object_type in _EXTENSIONS:
        _rate_hz(reader)
        object_type = _object_type(reader)
    is_short = reader.flag()
    channels = _CHANNELS_OF_7 if configuration == 7 else configuration or 2
    return config, object_type, rate_hz, channels, _SHORT_FRAME_SAMPLES if is_short else _FRAME_SAMPLES


def _assumed(clock_rate_hz: int, channels: int) -> tuple[bytes, int, int, int, int]:
    if not 0 < channels < _CHANNELS_OF_7:
        raise BitstreamError("An AAC track without a configuration has no usual number of channels.")
    bits = _LOW_COMPLEXITY << 11 | _RATES_HZ.index(clock_rate_hz) << 7 | channels << 3
    return bits.to_bytes(2, "big"), _LOW_COMPLEXITY, clock_rate_hz, channels, _FRAME_SAMPLES


def _object_type(reader: BitReader) -> int:
    kind = reader.bits(5)
    return 32 + reader.bits(6) if kind == 31 else kind


def _rate_hz(reader: BitReader) -> int:
    index = reader.bits(4)
    if index == _EXPLICIT_RATE:
        rate_hz = reader.bits(24)
    elif index < len(_RATES_HZ):
        rate_hz = _RATES_HZ[index]
    else:
        raise BitstreamError("An AAC configuration has a reserved sampling rate.")
    if not rate_hz:
        raise BitstreamError("An AAC configuration has the sampling rate zero.")
    return rate_hz


def access_units(payload: bytes, form: AacFormat) -> Iterator[tuple[bytes, int]]:
    """Yield the units of a packet, each with its whole size, which is larger than a fragment.

    Raises:
        BitstreamError: the headers are truncated, or have more units than any sender puts into a packet.
    """
    header_bits = int.from_bytes(payload[:2], "big")
    end = 2 + (header_bits + 7) // 8
    if end > len(payload):
        raise BitstreamError("The headers of an AAC packet are truncated.")
    if header_bits // (form.size_bits + min(form.index_bits, form.delta_bits)) > _MAX_UNITS:
        raise BitstreamError("An AAC packet has too many units.")
    reader = BitReader(payload[2:end])
    index_bits = form.index_bits
    while header_bits >= form.size_bits + index_bits:
        size = reader.bits(form.size_bits)
        reader.bits(index_bits)
        header_bits -= form.size_bits + index_bits
        index_bits = form.delta_bits
        if payload[end : end + size]:
            yield payload[end : end + size], size
        end += size
