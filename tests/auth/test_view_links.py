"""View links in their file."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent_core.auth.view_links import MOST_VIEW_LINKS, NewViewLink, ViewLink, ViewLinks
from agent_core.base.errors import AuthenticationFailed, InvalidState, NotFound, StateCorrupt, StorageFailed
from agent_core.base.models import CameraId
from agent_core.testing import SimulatedClock

CAMERA = CameraId("camera0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "view-links.json"


@pytest.fixture
def links(path: Path, clock: SimulatedClock) -> ViewLinks:
    return ViewLinks(path, clock)


def made(
    links: ViewLinks, clock: SimulatedClock, camera: CameraId | None = CAMERA, lifetime_s: float = 60
) -> tuple[str, ViewLink]:
    end = clock.now() + timedelta(seconds=lifetime_s)
    return links.create(NewViewLink(camera, "olga", end))


def test_a_link_shows_its_camera_and_no_other(links: ViewLinks, clock: SimulatedClock) -> None:
    secret, link = made(links, clock)
    assert links.verify(secret, "camera0") == link
    with pytest.raises(AuthenticationFailed) as caught:
        links.verify(secret, "camera1")
    assert caught.value.reason == "link_invalid"


def test_a_link_to_all_cameras(links: ViewLinks, clock: SimulatedClock) -> None:
    secret, link = made(links, clock, None)
    assert links.verify(secret, "camera0") == links.verify(secret, "camera7") == link


@pytest.mark.parametrize("wrong", ["", "x", "A" * 43, "A" * 100_000, "ä" * 43, "../../secret"])
def test_another_secret_is_refused(links: ViewLinks, clock: SimulatedClock, wrong: str) -> None:
    made(links, clock)
    with pytest.raises(AuthenticationFailed):
        links.verify(wrong, "camera0")


def test_a_link_ends(links: ViewLinks, clock: SimulatedClock) -> None:
    secret, link = made(links, clock, lifetime_s=60)
    clock.jump(59)
    assert links.verify(secret, "camera0") == link
    clock.jump(1)
    with pytest.raises(AuthenticationFailed):
        links.verify(secret, "camera0")
    assert links.is_current(link)  # a view that runs ends by its own clock


def test_a_revoked_link_is_neither_valid_nor_current(links: ViewLinks, clock: SimulatedClock) -> None:
    secret, link = made(links, clock)
    other, _ = made(links, clock)
    assert links.revoke(link.id) == link
    assert not links.is_current(link)
    with pytest.raises(AuthenticationFailed):
        links.verify(secret, "camera0")
    links.verify(other, "camera0")
    with pytest.raises(NotFound) as caught:
        links.revoke(link.id)
    assert caught.value.reason == "view_link_not_found"


def test_links_are_kept_without_their_secrets(links: ViewLinks, path: Path, clock: SimulatedClock) -> None:
    secret, link = made(links, clock)
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    again = ViewLinks(path, clock)
    again.refresh()
    assert again.verify(secret, "camera0") == link


def test_another_process_revokes(links: ViewLinks, path: Path, clock: SimulatedClock) -> None:
    secret, link = made(links, clock)
    ViewLinks(path, clock).revoke(link.id)
    links.refresh()
    with pytest.raises(AuthenticationFailed):
        links.verify(secret, "camera0")


def test_while_the_file_is_unusable_no_link_is_valid(
    links: ViewLinks, path: Path, clock: SimulatedClock, caplog: pytest.LogCaptureFixture
) -> None:
    secret, link = made(links, clock)
    path.write_text("{")
    links.refresh()
    with pytest.raises(AuthenticationFailed):
        links.verify(secret, "camera0")
    assert not links.is_current(link)
    assert caplog.records[0].getMessage().startswith("no view link is valid: view-links.json is unusable")
    with pytest.raises(StateCorrupt):
        made(links, clock)
    assert path.read_text() == "{"


def test_a_clock_that_is_wrong_for_a_while_ends_no_link_for_good(
    links: ViewLinks, clock: SimulatedClock
) -> None:
    secret, link = made(links, clock)
    clock.jump(100 * 365 * 86400)
    made(links, clock)
    clock.jump(-100 * 365 * 86400)
    assert links.verify(secret, "camera0") == link


def test_ended_links_make_room(links: ViewLinks, path: Path, clock: SimulatedClock) -> None:
    _, link = made(links, clock, lifetime_s=60)
    copies = [
        link.model_copy(update={"sha256": f"{number:064x}"}).model_dump_json()
        for number in range(MOST_VIEW_LINKS)
    ]
    path.write_text('{"version": 1, "links": [' + ",".join(copies) + "]}")
    with pytest.raises(InvalidState) as caught:
        made(links, clock)
    assert caught.value.state == "full"
    clock.jump(60)
    made(links, clock)
    assert len(links.stored()) == 1


def test_links_are_neither_made_nor_revoked_without_the_state_folder(
    path: Path, clock: SimulatedClock
) -> None:
    def require() -> None:
        raise StorageFailed("The state folder is not there.", reason="state_missing")

    links = ViewLinks(path, clock, require=require)
    with pytest.raises(StorageFailed):
        made(links, clock)
    assert not path.exists()


def test_the_file_can_be_read_by_people(links: ViewLinks, path: Path, clock: SimulatedClock) -> None:
    made(links, clock)
    assert path.read_text().startswith('{\n "version": 1,\n "links": [')
