from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from agent_core.auth.links import DownloadLinks

NAME = "camera0/2026-11-22_17-03-54.120Z é&?.jpg"


class Noon:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return self.at

    async def sleep(self, duration_s: float) -> None:
        raise NotImplementedError


def parts(link: str) -> tuple[str, str, str]:
    split = urlsplit(link)
    query = parse_qs(split.query)
    return unquote(split.path), query["expires"][0], query["sig"][0]


def test_a_link_opens_its_file_for_a_while() -> None:
    clock = Noon()
    links = DownloadLinks(b"k" * 32, clock, lifetime_s=60)
    path, expires, signature = parts(links.sign("snapshots", NAME))
    assert path == f"/files/snapshots/{NAME}"
    assert links.is_valid("snapshots", NAME, expires, signature)
    clock.at = clock.at.replace(minute=1)
    assert not links.is_valid("snapshots", NAME, expires, signature)


def test_a_link_opens_nothing_else() -> None:
    links = DownloadLinks(b"k" * 32, Noon())
    _, expires, signature = parts(links.sign("snapshots", NAME))
    assert not links.is_valid("recordings", NAME, expires, signature)
    assert not links.is_valid("snapshots", NAME + "x", expires, signature)
    assert not links.is_valid("snapshots", NAME, str(int(expires) + 1), signature)
    assert not links.is_valid("snapshots", NAME, expires, signature[:-1])
    assert not links.is_valid("snapshots", NAME, expires, "é")
    assert not DownloadLinks(b"o" * 32, Noon()).is_valid("snapshots", NAME, expires, signature)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "9" * 13, "x", "\u0661", " 1"])
def test_odd_ends_are_refused(expires: str) -> None:
    links = DownloadLinks(b"k" * 32, Noon())
    assert not links.is_valid("snapshots", NAME, expires, "x")


def test_absolute_links() -> None:
    links = DownloadLinks(b"k" * 32, Noon(), base_url="http://box:8002/")
    assert links.sign("recordings", "a").startswith("http://box:8002/files/recordings/a?expires=")
