"""Answers to a search for ONVIF devices, as cameras send them."""

from uuid import UUID

import pytest

from external_discovery.discovery.onvif.search import answers_of
from external_discovery.discovery.onvif.xml import XmlRefused

OURS = UUID("d5328158-9034-4872-99c5-621464e5c68f")
SCOPES = "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2612F-I onvif://www.onvif.org/name/Yard%20%231"
MATCH = (
    "<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:{endpoint}</a:Address></a:EndpointReference>"
    "<d:Types>{types}</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch>"
)


def match(
    endpoint: str = "1",
    types: str = "dn:NetworkVideoTransmitter",
    scopes: str = SCOPES,
    addresses: str = "http://192.0.2.7/onvif/device_service",
) -> str:
    return MATCH.format(endpoint=endpoint, types=types, scopes=scopes, addresses=addresses)


def answer(*matches: str, relates_to: str = f"urn:uuid:{OURS}", addressing: str = "2004/08") -> bytes:
    return (
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/{addressing}/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        f"<s:Header><a:RelatesTo>{relates_to}</a:RelatesTo></s:Header>"
        f"<s:Body><d:ProbeMatches>{''.join(matches)}</d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


def test_a_device_with_its_name_and_all_its_addresses() -> None:
    addresses = "http://169.254.119.177/onvif/services http://192.0.2.7/onvif/services"
    (device,) = answers_of(answer(match(addresses=addresses)), frozenset((OURS,)))
    assert device.endpoint == "urn:uuid:1"
    assert device.name == "Yard #1"
    assert device.addresses == tuple(addresses.split())


def test_the_model_names_a_device_without_a_name() -> None:
    (device,) = answers_of(answer(match(scopes=SCOPES.rpartition(" ")[0])), frozenset((OURS,)))
    assert device.name == "DS-2CD2612F-I"


@pytest.mark.parametrize(
    "relates_to",
    ["", "urn:uuid:00000000-0000-0000-0000-000000000000", "uuid:d5328158", f"urn:uuid:{str(OURS)[:-1]}"],
)
def test_an_answer_to_no_message_of_ours_is_refused(relates_to: str) -> None:
    with pytest.raises(XmlRefused):
        answers_of(answer(match(), relates_to=relates_to), frozenset((OURS,)))


@pytest.mark.parametrize(
    "relates_to", [f"uuid:{OURS}", f"urn:uuid:{str(OURS).upper()}", str(OURS), f"\n  urn:uuid:{OURS}\n"]
)
def test_spellings_of_our_id_that_devices_use(relates_to: str) -> None:
    assert answers_of(answer(match(), relates_to=relates_to), frozenset((OURS,)))


def test_a_newer_addressing_namespace() -> None:
    assert answers_of(answer(match(), addressing="2005/08"), frozenset((OURS,)))


@pytest.mark.parametrize(
    "found",
    [
        match(types="wsdp:Device wprt:PrintDeviceType", scopes="", addresses="http://192.0.2.9:5357/abc"),
        match(addresses=""),
        match(addresses="   "),
    ],
    ids=["printer", "no address", "blanks"],
)
def test_what_is_no_camera_is_left_out(found: str) -> None:
    assert answers_of(answer(found), frozenset((OURS,))) == ()


def test_signs_of_onvif_that_suffice_alone() -> None:
    plain = "http://192.0.2.7/service"
    signs = (
        match(types="dn:NetworkVideoTransmitter", scopes="", addresses=plain),
        match(types="", scopes="onvif://www.onvif.org/type/ptz", addresses=plain),
        match(types="tds:Device", scopes="", addresses="http://192.0.2.7/onvif/device_service"),
    )
    for each in signs:
        assert len(answers_of(answer(each), frozenset((OURS,)))) == 1


def test_one_datagram_brings_a_bounded_number_of_devices_and_addresses() -> None:
    many = answer(*(match(endpoint=str(number)) for number in range(200)))
    assert len(answers_of(many, frozenset((OURS,)))) == 16
    (device,) = answers_of(answer(match(addresses="http://192.0.2.7/onvif " * 500)), frozenset((OURS,)))
    assert len(device.addresses) == 8


def test_texts_of_a_device_are_short_and_on_one_line() -> None:
    scopes = "onvif://www.onvif.org/name/a%0Ab%1b[31m" + "x" * 500
    (device,) = answers_of(answer(match(scopes=scopes, endpoint="y" * 500)), frozenset((OURS,)))
    assert device.name.isprintable()
    assert max(len(device.name), len(device.endpoint)) <= 80
    long = match(endpoint="", addresses="http://192.0.2.7/onvif\u2028" + "x" * 500)
    (device,) = answers_of(answer(long), frozenset((OURS,)))
    assert device.endpoint.isprintable()
    assert len(device.endpoint) <= 80
