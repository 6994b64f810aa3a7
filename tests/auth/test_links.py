from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from agent_core.auth.links import DownloadLinks
from agent_core.testing import SimulatedClock

NAME = "camera0/2026-11-22_17-03-54.120Z é&?.jpg"


def parts(link: str) -> tuple[str, str, str]:
    split = urlsplit(link)
    query = parse_qs(split.query)
    return unquote(split.path), query["expires"][0], query["sig"][0]


def test_a_link_opens_its_file_for_a_while() -> None:
    clock = SimulatedClock()
    links = DownloadLinks(b"k" * 32, clock, lifetime_s=60)
    path, expires, signature = parts(links.sign("snapshots", NAME))
    assert path == f"/files/snapshots/{NAME}"
    assert links.is_valid("snapshots", NAME, expires, signature)
    clock.jump(60)
    assert not links.is_valid("snapshots", NAME, expires, signature)


def test_a_link_opens_nothing_else() -> None:
    links = DownloadLinks(b"k" * 32, SimulatedClock())
    _, expires, signature = parts(links.sign("snapshots", NAME))
    assert not links.is_valid("recordings", NAME, expires, signature)
    assert not links.is_valid("snapshots", NAME + "x", expires, signature)
    assert not links.is_valid("snapshots", NAME, str(int(expires) + 1), signature)
    assert not links.is_valid("snapshots", NAME, expires, signature[:-1])
    assert not links.is_valid("snapshots", NAME, expires, "é")
    assert not DownloadLinks(b"o" * 32, SimulatedClock()).is_valid("snapshots", NAME, expires, signature)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "9" * 13, "x", "\u0661", " 1"])
def test_odd_ends_are_refused(expires: str) -> None:
    links = DownloadLinks(b"k" * 32, SimulatedClock())
    assert not links.is_valid("snapshots", NAME, expires, "x")


def test_absolute_links() -> None:
    links = DownloadLinks(b"k" * 32, SimulatedClock(), base_url="http://box:8002/")
    assert links.sign("recordings", "a").startswith("http://box:8002/files/recordings/a?expires=")
