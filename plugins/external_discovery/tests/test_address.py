"""Addresses of streams are read strictly, and without their credentials."""

import random
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from agent_core.plugin.rtsp import Credentials
from external_discovery.address import AddressRefused, StreamAddress

if TYPE_CHECKING:
    from collections.abc import Callable


def reason(url: str) -> str:
    with pytest.raises(AddressRefused) as refused:
        StreamAddress.parse(url)
    assert refused.value.rule == refused.value.reason
    return refused.value.reason


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "scheme_not_allowed"),
        ("192.0.2.1/stream", "scheme_not_allowed"),
        ("http://192.0.2.1/", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("exec:ffmpeg", "scheme_not_allowed"),
        ("rtsp:/192.0.2.1/", "scheme_not_allowed"),
        ("rtsp+http://192.0.2.1/", "scheme_not_allowed"),
        ("unix+mpegts:///run/x.sock", "scheme_not_allowed"),
        ("rtsp://", "bad_host"),
        ("rtsp:///path", "bad_host"),
        ("rtsp://:554/", "bad_host"),
        ("rtsp://2130706433/", "odd_address"),
        ("rtsp://0x7f000001/", "odd_address"),
        ("rtsp://017700000001/", "odd_address"),
        ("rtsp://127.1/", "odd_address"),
        ("rtsp://0177.0.0.1/", "odd_address"),
        ("rtsp://0x7f.0.0.1/", "odd_address"),
        ("rtsp://127.0.0.01/", "odd_address"),
        ("rtsp://127.0.0.1./", "odd_address"),
        ("rtsp://256.0.0.1/", "odd_address"),
        ("rtsp://1.2.3.4.5/", "odd_address"),
        ("rtsp://camera.0x1/", "odd_address"),
        ("rtsp://[fe80::1%25eth0]/", "zone_id"),
        ("rtsp://[::1/", "bad_host"),
        ("rtsp://[::1]x/", "bad_host"),
        ("rtsp://[127.0.0.1]/", "bad_host"),
        ("rtsp://[v1.x]/", "bad_host"),
        ("rtsp://::1/", "bad_host"),
        ("rtsp://%31%32%37.0.0.1/", "odd_address"),
        ("rtsp://cam%2eexample/", "bad_host"),
        ("rtsp://-cam.example/", "bad_host"),
        ("rtsp://cam..example/", "bad_host"),
        ("rtsp://cam,192.0.2.1/", "odd_address"),
        ("rtsp://ka\u006d\u00e9ra.example/", "forbidden_character"),
        ("rtsp://\u2460\u2461\u2466.0.0.1/", "forbidden_character"),
        ("rtsp://127\u30020\u30020\u30021/", "forbidden_character"),
        ("rtsp://192.0.2.1\\@127.0.0.1/", "forbidden_character"),
        ("rtsp://192.0.2.1/\r\nX: y", "forbidden_character"),
        ("rtsp://192.0.2.1/a b", "forbidden_character"),
        (" rtsp://192.0.2.1/", "forbidden_character"),
        ("rtsp://192.0.2.1/\x00", "forbidden_character"),
        ("rtsp://192.0.2.1/\t", "forbidden_character"),
        ("rtsp://192.0.2.1#@127.0.0.1/", "fragment"),
        ("rtsp://192.0.2.1/live#video=copy", "fragment"),
        ("rtsp://192.0.2.1@127.0.0.1@192.0.2.2/", "ambiguous_user"),
        ("rtsp://a:b:c@192.0.2.1/", "ambiguous_user"),
        ("rtsp://:secret@192.0.2.1/", "bad_credentials"),
        ("rtsp://admin@192.0.2.1/", "empty_password"),
        ("rtsp://admin:@192.0.2.1/", "empty_password"),
        ("rtsp://a%0d%0a:b@192.0.2.1/", "bad_credentials"),
        ("rtsp://a:b%00@192.0.2.1/", "bad_credentials"),
        ("rtsp://a:%ff@192.0.2.1/", "bad_credentials"),
        ("rtsp://a:50%off@192.0.2.1/", "bad_escape"),
        ("rtsp://192.0.2.1/%zz", "bad_escape"),
        ("rtsp://192.0.2.1:0/", "bad_port"),
        ("rtsp://192.0.2.1:65536/", "bad_port"),
        ("rtsp://192.0.2.1:/", "bad_port"),
        ("rtsp://192.0.2.1:+554/", "bad_port"),
        ("rtsp://192.0.2.1:0554/", "bad_port"),
        ("rtsp://admin:pa/ss@192.0.2.1/", "bad_port"),
        ("rtsp://admin:pass?@192.0.2.1/", "bad_port"),
        ("srt://192.0.2.1", "bad_port"),
        ("rtsp://192.0.2.1/" + "a" * 2048, "too_long"),
    ],
)
def test_what_programs_read_differently_is_refused(url: str, word: str) -> None:
    assert reason(url) == word


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("RTSP://Camera.Example", "rtsp://camera.example/"),
        ("rtsp://camera.example.:554/a", "rtsp://camera.example/a"),
        ("rtsp://192.0.2.1:8554/a?b=c&d", "rtsp://192.0.2.1:8554/a?b=c&d"),
        ("rtsp://192.0.2.1?x", "rtsp://192.0.2.1/?x"),
        ("rtsp://[2001:DB8:0::1]:554/", "rtsp://[2001:db8::1]/"),
        ("rtsp://xn--kamra-fsa.example/", "rtsp://xn--kamra-fsa.example/"),
        ("rtsp://cam_1.local/", "rtsp://cam_1.local/"),
        ("rtsps://cam:322/", "rtsps://cam/"),
        ("srt://192.0.2.1:9000?streamid=a", "srt://192.0.2.1:9000/?streamid=a"),
        ("rtsp://192.0.2.1/live?next=a@b:c", "rtsp://192.0.2.1/live?next=a@b:c"),
        ("rtsp://192.0.2.1/%0d%0aX", "rtsp://192.0.2.1/%0d%0aX"),
    ],
)
def test_equal_addresses_have_one_form(url: str, canonical: str) -> None:
    address, credentials = StreamAddress.parse(url)
    assert (address.url, credentials) == (canonical, None)
    assert StreamAddress.parse(canonical) == (address, None)


@pytest.mark.parametrize("password", ["p@ss", "a:b", "a/b?c#d", "50%off", "ünï", " ", "\"'\\`", "!)@^[,"])
def test_credentials_are_split_off(password: str) -> None:
    url = f"rtsp://admin:{quote(password, safe='')}@192.0.2.1/live"
    address, credentials = StreamAddress.parse(url)
    assert credentials == Credentials("admin", password)
    assert "admin" not in f"{address!r} {address.url}"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:Tr0ub4dor/x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor?x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor#x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor@x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor:x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor%x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor\\x@192.0.2.1/",
        "rtsp://admin:Tr0ub4dor\n@192.0.2.1/",
        "rtsp://Tr0ub4dor%01@192.0.2.1/",
        "rtsp://192.0.2.1:Tr0ub4dor/",
        "Tr0ub4dor://192.0.2.1/",
    ],
)
def test_no_refusal_repeats_a_secret(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        StreamAddress.parse(url)
    error = refused.value
    assert "Tr0ub4dor" not in f"{error} {error.details} {error.suggestion} {error.data()}"


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/user=admin&password=hunter2&channel=1", "/user=admin&password=***&channel=1"),
        (
            "/user=admin_password=hunter2_channel=1_stream=0.sdp",
            "/user=admin_password=***_channel=1_stream=0.sdp",
        ),
        ("/live?Token=hunter2", "/live?Token=***"),
        ("/live?username=a&pwd=hunter2&x=1", "/live?username=a&pwd=***&x=1"),
        ("/live?streamid=read:x&passphrase=hunter2", "/live?streamid=read:x&passphrase=***"),
        ("/live?token=hun/ter2==&x=1", "/live?token=***&x=1"),
        ("/live?token=hun?ter2", "/live?token=***"),
        ("/live?password=hun;ter2&x=1", "/live?password=***&x=1"),
        ("/live?password=hunter2;channel=1", "/live?password=***;channel=1"),
        ("/live?accessToken=hunter2&jwt=hunter2", "/live?accessToken=***&jwt=***"),
        ("/password=hunter2/live?x=1", "/password=***/live?x=1"),
        ("/?streamid=read:x:admin:hunter2&latency=9", "/?streamid=read:x:***&latency=9"),
        ("/?streamid=read%3Ax%3Aadmin%3Ahunter2", "/?streamid=read%3Ax%3A***"),
        ("/?streamid=read:a/b", "/?streamid=read:a/b"),
        ("/user=admin&password=&channel=1", "/user=admin&password=***&channel=1"),
        ("/bypass=1", "/bypass=1"),
        ("/live?compass=1", "/live?compass=1"),
        ("/live?author=me", "/live?author=me"),
    ],
)
def test_secrets_in_the_path_are_hidden_and_used(path: str, public: str) -> None:
    address, _ = StreamAddress.parse(f"rtsp://192.0.2.1{path}")
    assert address.url == f"rtsp://192.0.2.1{public}"
    assert address.url_at() == f"rtsp://192.0.2.1{path}"
    assert address.has_secrets is (path != public)
    assert "hunter2" not in repr(address)
    shown, _ = StreamAddress.parse(address.url)
    assert not shown.has_secrets
    assert shown.is_masked is address.has_secrets


def numeric_host(dice: random.Random) -> str:
    """Return a spelling of an IPv4 address that C libraries may accept."""
    parts = [dice.choice((0, 1, 10, 127, 169, 192, 254, 255, 256)) for _ in range(dice.randint(1, 5))]
    if len(parts) == 1:
        parts = [dice.randrange(2**32)]
    spell: list[Callable[[int], str]] = [
        str,
        oct,
        hex,
        "0{}".format,
        "{:o}".format,
        "0x{:X}".format,
        "0{:o}".format,
        "00{:o}".format,
    ]
    return ".".join(dice.choice(spell)(part) for part in parts) + dice.choice(("", "", ".", " "))


def test_an_accepted_number_is_the_address_that_the_c_library_reads() -> None:
    dice = random.Random(20261130)
    accepted = 0
    for _ in range(20_000):
        host = numeric_host(dice)
        try:
            address, _ = StreamAddress.parse(f"rtsp://{host}/")
        except AddressRefused:
            continue
        accepted += 1
        try:
            read = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            assert address.ip is None, host
        else:
            assert address.host == read == host
    assert accepted > 100


def test_any_accepted_url_means_the_same_to_another_parser() -> None:
    dice = random.Random(14)
    pieces = (
        "192.0.2.1",
        "127.0.0.1",
        "cam.example",
        "@",
        ":",
        "/",
        "?",
        "//",
        "[::1]",
        "\\",
        "#",
        "%",
        "%40",
        "554",
        ".",
        "a",
    )
    accepted = 0
    for _ in range(50_000):
        url = "rtsp://" + "".join(dice.choice(pieces) for _ in range(dice.randint(1, 7)))
        try:
            address, credentials = StreamAddress.parse(url)
        except AddressRefused:
            continue
        accepted += 1
        other = urlsplit(url)
        assert (other.hostname or "").rstrip(".") == address.host, url
        assert (other.port or 554) == address.port, url
        assert (other.username is None) is (credentials is None), url
        assert urlsplit(address.url).hostname == address.host
    assert accepted > 100
