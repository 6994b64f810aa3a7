"""The choice of resident readers, told the time."""

import pytest

from agent_core.plugin import CameraId
from rtsp_tier.tiers import Residents, ResidentsPolicy, View, Way

A, B, C = (View(CameraId(f"camera{number}")) for number in range(3))
POLICY = ResidentsPolicy(limit=2, within_s=10, ttl_s=30, alone_s=5)


def photograph(residents: Residents, camera: View, at_s: float) -> bool:
    """Photograph the camera as the tiers do; return True if it was given a reader."""
    admission = residents.admission(camera, at_s, busy=())
    if admission.instead_of is not None:
        residents.closed(admission.instead_of)
    if admission.is_admitted:
        residents.opened(camera, at_s)
    residents.photographed(camera, at_s)
    return admission.is_admitted


def test_the_second_picture_within_the_time_makes_a_reader() -> None:
    residents = Residents(POLICY)
    assert [photograph(residents, A, at_s) for at_s in (0, 11, 21)] == [False, False, True]


def test_the_least_recently_photographed_camera_gives_up_its_reader() -> None:
    residents = Residents(POLICY)
    for camera, at_s in ((A, 0), (A, 1), (B, 2), (B, 3), (C, 4)):
        photograph(residents, camera, at_s)
    residents.photographed(A, 3.5)
    assert residents.admission(C, 6, busy=()).instead_of == B
    assert residents.admission(C, 6, busy={B}).instead_of == A
    assert not residents.admission(C, 6, busy={A, B}).is_admitted


@pytest.mark.parametrize("cameras", [3, 5, 20])
def test_cameras_that_are_photographed_in_turn_do_not_take_the_readers_from_each_other(cameras: int) -> None:
    residents = Residents(POLICY)
    turns = [View(CameraId(f"camera{number}")) for number in range(cameras)]
    opened = [photograph(residents, turns[i % cameras], i * 5 / cameras) for i in range(10 * cameras)]
    assert opened.count(True) == POLICY.limit


def test_a_camera_that_is_no_longer_photographed_gives_up_its_reader() -> None:
    residents = Residents(POLICY)
    for at_s in range(3):
        for camera in (A, B, C):
            photograph(residents, camera, at_s)
    opened = {camera: photograph(residents, camera, 4) for camera in (B, C)}
    assert opened == {B: False, C: False}
    residents.photographed(B, 5)
    assert residents.admission(C, 5, busy=()).instead_of == A


def test_a_reader_is_checked_from_time_to_time_and_stays_only_for_so_long_after_its_last_picture() -> None:
    residents = Residents(POLICY)
    for camera, at_s in ((A, 0), (A, 1), (B, 2), (B, 3)):
        photograph(residents, camera, at_s)
    residents.photographed(A, 20)
    assert residents.next_check_s() == 8
    assert residents.due(7.9) == []
    for now_s, again_s in ((8, 13), (13, 18), (28, 33)):
        assert residents.due(now_s)[-1] == B
        assert residents.may_stay(B, now_s)
        residents.keep(B, now_s)
        residents.photographed(A, now_s)
        assert residents.next_check_s() == again_s
    assert residents.due(33) == [A, B]
    assert residents.may_stay(A, 33)
    assert not residents.may_stay(B, 33)
    residents.closed(B)
    assert residents.due(33) == [A]


def test_a_reader_that_must_not_be_alone_is_not_checked_all_the_time() -> None:
    residents = Residents(ResidentsPolicy(limit=1, within_s=10, ttl_s=30, alone_s=0))
    photograph(residents, A, 0)
    photograph(residents, A, 1)
    assert residents.due(1) == [A]
    residents.keep(A, 1)
    assert residents.next_check_s() == 2


def test_without_readers_nothing_expires_and_old_pictures_are_forgotten() -> None:
    residents = Residents(ResidentsPolicy(limit=0, within_s=10, ttl_s=30, alone_s=5))
    for number in range(1000):
        assert not photograph(residents, View(CameraId(f"camera{number}")), number)
    assert residents.next_check_s() is None
    assert len(residents._photographed_s) < 50  # no other sign of unbounded memory


def test_a_frame_socket_is_opened_once_while_there_is_room() -> None:
    residents = Residents(POLICY)
    own = View(A.camera, Way.SOCKET)
    assert [photograph(residents, own, at_s) for at_s in (0, 1)] == [True, True]
    assert photograph(residents, A, 2) is False  # the same camera's stream
    assert photograph(residents, View(B.camera, Way.SOCKET), 3)
    assert photograph(residents, View(C.camera, Way.SOCKET), 4) is False  # it takes no reader from another
