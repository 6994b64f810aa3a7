from datetime import timedelta

import pytest

from agent_core.auth.links import DownloadLinks, Link
from agent_core.auth.revocations import TOKEN_ID
from agent_core.auth.roles import Principal, Role
from agent_core.auth.secret import Secret
from agent_core.testing import SimulatedClock

NAME = "camera0/2026-11-22_17-03-54.120Z é&?.jpg"
SECRET = Secret(b"kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7")
OTHER_SECRET = Secret(b"7gCm1dHs9qPw5rLt6Bv0Yx2Q8zf_n3Jk")
USER = Principal("someone", Role.VIEWER, None, "token:abc.1:2 é")


class Current:
    """The credentials that have not been revoked."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    def __call__(self, credential: str) -> bool:
        return credential not in self.revoked


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def current() -> Current:
    return Current()


@pytest.fixture
def links(clock: SimulatedClock, current: Current) -> DownloadLinks:
    return DownloadLinks(SECRET, clock, is_current=current, lifetime_s=60)


def changed(link: Link, **changes: str) -> Link:
    fields = {name: getattr(link, name) for name in Link.__dataclass_fields__}
    return Link(**(fields | changes))


def test_a_link_opens_its_file_for_a_while(links: DownloadLinks, clock: SimulatedClock) -> None:
    link = Link.parse(links.of(USER)("snapshots", NAME))
    assert (link.kind, link.name, link.credential) == ("snapshots", NAME, USER.credential)
    assert links.is_valid(link)
    clock.jump(60)
    assert not links.is_valid(link)
    assert links.is_live(link), "a download that has begun may take longer"


def test_a_link_opens_nothing_else(links: DownloadLinks, clock: SimulatedClock, current: Current) -> None:
    link = Link.parse(links.of(USER)("snapshots", NAME))
    for wrong in (
        changed(link, kind="recordings"),
        changed(link, name=NAME + "x"),
        changed(link, expires=str(int(link.expires) + 1)),
        changed(link, credential="token:abc.2"),
        changed(link, signature=link.signature[:-1]),
        changed(link, signature="é"),
        changed(link, signature="\ud800"),
    ):
        assert not links.is_valid(wrong)
        assert not links.is_live(wrong)
    assert not DownloadLinks(OTHER_SECRET, clock, is_current=current).is_live(link)


def test_a_link_ends_with_the_credentials_of_its_user(links: DownloadLinks, current: Current) -> None:
    sign = links.of(USER)
    link = Link.parse(sign("snapshots", NAME))
    current.revoked.add(USER.credential)
    assert not links.is_valid(link)
    assert not links.is_live(link)
    assert not links.is_valid(Link.parse(sign("snapshots", NAME))), "a signer made before signs nothing valid"


def test_a_link_is_not_valid_for_longer_than_the_credentials(
    links: DownloadLinks, clock: SimulatedClock
) -> None:
    soon = Principal("someone", Role.VIEWER, clock.now() + timedelta(seconds=30), "token:abc.1")
    link = Link.parse(links.of(soon)("snapshots", NAME))
    clock.jump(29)
    assert links.is_valid(link)
    clock.jump(1)
    assert not links.is_valid(link)


def test_one_link_is_revoked_and_no_other(clock: SimulatedClock, current: Current) -> None:
    revoked: set[str] = set()
    links = DownloadLinks(SECRET, clock, is_current=current, is_revoked=revoked.__contains__)
    link, other = (Link.parse(links.of(USER)("snapshots", name)) for name in (NAME, "a.jpg"))
    assert TOKEN_ID.fullmatch(link.id)
    revoked.add(link.id)
    assert not links.is_valid(link)
    assert not links.is_live(link)
    assert links.is_valid(other)


@pytest.mark.parametrize("url", ["", "/", "/files/a/b?expires=1&sig=c", "/files/a/b?by=b&sig=c", "http://[/"])
def test_what_is_no_link(url: str) -> None:
    with pytest.raises(ValueError, match="not a download_url"):
        Link.parse(url)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "9" * 13, "x", "\u0661", " 1"])
def test_odd_ends_are_refused(links: DownloadLinks, expires: str) -> None:
    assert not links.is_valid(Link("snapshots", NAME, expires, USER.credential, "x"))


def test_absolute_links(clock: SimulatedClock, current: Current) -> None:
    links = DownloadLinks(SECRET, clock, is_current=current, base_url="http://box:8002/")
    assert links.of(USER)("recordings", "a").startswith("http://box:8002/files/recordings/a?expires=")
