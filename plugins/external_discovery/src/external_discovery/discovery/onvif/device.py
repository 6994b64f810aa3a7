"""Streams of one ONVIF device: its media services, their profiles, and the address of each profile's stream."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from xml.sax.saxutils import escape

from external_discovery.discovery.onvif.soap import DeviceFailed, SoapClient, service_at, utc_of
from external_discovery.discovery.onvif.xml import Element
from external_discovery.tracks import Track, printable

__all__ = ("OnvifProfile", "profiles_of")

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA1 = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_GET_TIME = f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>'
_GET_SERVICES = f'<GetServices xmlns="{_DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'
_GET_CAPABILITIES = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
_GET_PROFILES_1 = f'<GetProfiles xmlns="{_MEDIA1}"/>'
_GET_PROFILES_2 = f'<GetProfiles xmlns="{_MEDIA2}"><Type>VideoEncoder</Type></GetProfiles>'
_GET_URI_1 = (
    f'<GetStreamUri xmlns="{_MEDIA1}"><StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
    f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
    "<ProfileToken>{token}</ProfileToken></GetStreamUri>"
)
_GET_URI_2 = (
    f'<GetStreamUri xmlns="{_MEDIA2}"><Protocol>RTSP</Protocol>'
    "<ProfileToken>{token}</ProfileToken></GetStreamUri>"
)
#: Most profiles of one device whose address is asked for: recorders have one or two per channel.
_MOST_PROFILES = 64
#: Names of codecs, by ONVIF's (Media1: JPEG, MPEG4, H264; Media2: names of RTP).
_CODECS = {"JPEG": "MJPEG", "MPV4-ES": "MPEG4", "HEVC": "H265"}


@dataclass(frozen=True, slots=True)
class OnvifProfile:
    """Profile of a device: its name, the address of its stream as the device gives it, and its video if it says so."""

    name: str
    url: str
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class _Media:
    """Media service, with the messages of its version."""

    url: str
    get_profiles: str
    get_uri: str


async def profiles_of(
    client: SoapClient, address: str, host: IPv4Address | IPv6Address
) -> list[OnvifProfile]:
    """Return the profiles with the addresses of their streams. Sets the client's `offset`.

    Args:
        client: client of the device.
        address: address of the device service, as the device gave it.
        host: address at which the device is reached; nothing is sent to another one.

    Raises:
        DeviceFailed: the device does not answer, or not in a way that can be understood.
    """
    service = service_at(address, host)
    await _learn_clock(client, service)
    failure = DeviceFailed("It has no media service.")
    for media in await _media_services(client, service, host):
        try:
            return await _profiles(client, media)
        except DeviceFailed as error:
            failure = error
            if error.not_authorized:
                break
    raise failure


async def _learn_clock(client: SoapClient, service: str) -> None:
    """Compare clocks. The request is the one that every device answers without a password."""
    try:
        theirs = utc_of(await client.ask(service, _GET_TIME, secured=False))
    except DeviceFailed as error:
        if not error.not_authorized:
            raise
        theirs = None
    if theirs is not None:
        client.offset = theirs - client.clock.now()


async def _media_services(client: SoapClient, service: str, host: IPv4Address | IPv6Address) -> list[_Media]:
    """Return the device's media services. Media2 comes first, because Media1 hides profiles of H.265."""
    try:
        answer = await client.ask(service, _GET_SERVICES)
        listed = {each.value("Namespace"): each.value("XAddr") for each in answer.all("Service")}
    except DeviceFailed as error:
        if error.not_authorized:
            raise
        listed = {}  # devices from before 2011
    if not listed.keys() & {_MEDIA1, _MEDIA2}:
        answer = await client.ask(service, _GET_CAPABILITIES)
        listed = {_MEDIA1: next((each.value("XAddr") for each in answer.all("Media")), "")}
    found = []
    if address := listed.get(_MEDIA2):
        found.append(_Media(service_at(address, host), _GET_PROFILES_2, _GET_URI_2))
    if address := listed.get(_MEDIA1):
        found.append(_Media(service_at(address, host), _GET_PROFILES_1, _GET_URI_1))
    return found


async def _profiles(client: SoapClient, media: _Media) -> list[OnvifProfile]:
    answer = await client.ask(media.url, media.get_profiles)
    found = []
    for profile in list(answer.all("Profiles"))[:_MOST_PROFILES]:
        token = profile.attributes.get("token", "")
        if not token:
            continue
        uri = await client.ask(media.url, media.get_uri.format(token=escape(token)))
        url = next((each.text for each in uri.all("Uri")), "")
        if url:
            name = printable(profile.value("Name")) or printable(token)
            found.append(OnvifProfile(name, url, _tracks(profile)))
    if not found:
        raise DeviceFailed("It has no profile with a stream.")
    return found


def _tracks(profile: Element) -> tuple[Track, ...]:
    """Return the video of a profile: `VideoEncoderConfiguration` in Media1, `Configurations/VideoEncoder` in Media2."""
    for path in (("VideoEncoderConfiguration",), ("Configurations", "VideoEncoder")):
        encoding = printable(profile.value(*path, "Encoding")).upper()
        if encoding:
            return (Track("video", _CODECS.get(encoding, encoding), 90_000),)
    return ()
