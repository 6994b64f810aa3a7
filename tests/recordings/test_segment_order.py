"""The order of a recording's files: names of any zone, hours that come twice, clocks that are set back."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent_core.recordings.segment_order import MOST_NAMES, in_order, with_new
from agent_core.recordings.segments import MediaTimes, Segment
from agent_core.testing.local_time import local_time_zone

#: In Berlin the hour from 2 to 3 o'clock comes twice: summer time ends at 01:00 UTC.
END = datetime(2026, 10, 25, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=17)  # no name comes twice, which the server would overwrite
STARTS = [END + LENGTH * number for number in range(-6, 7)]


@pytest.fixture(params=["Europe/Berlin", "UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another local time of this host."""
    with local_time_zone(request.param):
        yield


def berlin(start: datetime) -> str:
    """A name as a server in Berlin gives it."""
    local = start + timedelta(hours=2 if start < END else 1)
    return f"{local:%Y-%m-%d_%H-%M-%S-%f}"


def in_berlin(start: datetime) -> str:
    """The same with the zone."""
    return berlin(start) + ("+0200" if start < END else "+0100")


def in_utc(start: datetime) -> str:
    return f"{start:%Y-%m-%d_%H-%M-%S-%f}Z"


def file(name: str, end: datetime) -> Segment:
    return Segment(f"{name}.mp4", Path(name), 1, end)


def unread(_: Segment) -> MediaTimes:
    pytest.fail("no file needs to be read")


def whole(_: Segment) -> MediaTimes:
    return MediaTimes(LENGTH.total_seconds())


def shuffled(files: list[Segment]) -> list[Segment]:
    return random.Random(1).sample(files, len(files))


@pytest.mark.parametrize("named", [in_utc, in_berlin])
def test_a_name_with_its_zone_tells_the_order_although_the_file_was_copied(
    zone: None, named: Callable[[datetime], str]
) -> None:
    files = [file(named(start), END - number * LENGTH) for number, start in enumerate(STARTS)]
    assert in_order(shuffled(files), (), unread) == files


def test_the_hour_that_comes_twice_is_told_by_the_ends_of_the_files(zone: None) -> None:
    """Names of older versions: the server's local time, whatever this host's is now."""
    files = [file(berlin(start), start + LENGTH + timedelta(seconds=1)) for start in STARTS]
    assert [each.name for each in files] != sorted(each.name for each in files)
    assert in_order(shuffled(files), (), whole) == files


def test_a_start_inside_the_file_is_believed_though_it_was_copied(zone: None) -> None:
    files = [file(berlin(start), END) for start in STARTS]
    inside = dict(zip((each.name for each in files), STARTS, strict=True))

    def told(each: Segment) -> MediaTimes:
        return MediaTimes(LENGTH.total_seconds(), inside[each.name].timestamp())

    assert in_order(shuffled(files), (), told) == files


@pytest.mark.parametrize("seconds", [0, 0.001, 7, 400])
def test_copied_files_without_a_zone_keep_the_order_of_their_names(zone: None, seconds: float) -> None:
    """Their times of modification are those of the copying, in any order, and fit no zone."""
    starts = [END + timedelta(days=1) + LENGTH * number for number in range(6)]
    copied = END + timedelta(days=40)
    files = [
        file(berlin(start), copied - number * timedelta(seconds=seconds))
        for number, start in enumerate(starts)
    ]
    assert in_order(shuffled(files), (), whole) == files


def test_ordinary_old_names_need_no_reading(zone: None) -> None:
    starts = [END + timedelta(days=1) + LENGTH * number for number in range(6)]
    files = [file(berlin(start), start + LENGTH) for start in starts]
    assert in_order(shuffled(files), (), unread) == files


def test_old_and_new_names_in_one_recording(zone: None) -> None:
    """An agent that was updated while it recorded, on a host east of Greenwich: 14:00, then 12:20Z."""
    starts = [END - timedelta(days=3) + LENGTH * number for number in range(6)]
    files = [
        file((berlin if number < 3 else in_utc)(start), start + LENGTH) for number, start in enumerate(starts)
    ]
    assert in_order(shuffled(files), (), whole) == files


@pytest.mark.parametrize(
    "name", ["a", "2026-13-40_99-99-99-000000", "0001-01-01_00-00-00-000000", "2026-11-22_17-03-54-0000001"]
)
def test_any_other_name_has_a_place_too(zone: None, name: str) -> None:
    files = [file(name, END), file(in_utc(STARTS[0]), END), file("z", END)]
    found = in_order(files, (), whole)
    assert set(found) == set(files)
    assert in_order(reversed(files), (), whole) == found


class Recorded:
    """A recording that is looked at after every new file."""

    def __init__(self) -> None:
        self.files: list[Segment] = []
        self.order: tuple[str, ...] = ()
        self.seen: tuple[str, ...] = ()

    def add(self, *starts: datetime) -> None:
        self.files += [file(in_utc(start), start + LENGTH) for start in starts]
        names = tuple(each.name for each in self.sorted())
        self.order, self.seen = with_new(self.order, self.seen, names)
        assert self.seen == tuple(each.name for each in self.sorted())

    def sorted(self) -> list[Segment]:
        return in_order(shuffled(self.files), self.order, unread)


def test_a_clock_that_is_set_back_does_not_mix_files() -> None:
    recorded = Recorded()
    recorded.add(*STARTS)
    assert recorded.order == ()  # the usual recording needs no list
    for hours in (1, 2, 30_000):  # into the hours recorded before, and far before them
        for number in range(4):
            recorded.add(END - timedelta(hours=hours, minutes=1) + LENGTH * number)
    assert recorded.sorted() == recorded.files
    recorded.add(END + timedelta(days=1))  # put right again
    before = recorded.order
    recorded.add(END + timedelta(days=1) + LENGTH)
    assert recorded.order == before
    assert recorded.sorted() == recorded.files


def test_files_before_and_after_the_step_in_one_look() -> None:
    recorded = Recorded()
    recorded.add(STARTS[0])
    recorded.add(STARTS[3], STARTS[0] - timedelta(minutes=1))
    assert recorded.sorted() == recorded.files


def test_a_deleted_file_spoils_no_order() -> None:
    recorded = Recorded()
    recorded.add(STARTS[0])
    recorded.add(STARTS[1])
    for number in range(3):
        recorded.add(STARTS[0] - timedelta(days=1) + LENGTH * number)
    del recorded.files[3]
    recorded.add(STARTS[0] - timedelta(hours=20))
    assert recorded.sorted() == recorded.files
    del recorded.files[-1]
    recorded.add(STARTS[0] - timedelta(hours=22))
    assert recorded.sorted() == recorded.files


def test_the_list_in_the_note_has_an_end() -> None:
    early = END - timedelta(days=900)
    files = [file(in_utc(END), END)]
    files += [file(in_utc(early + timedelta(minutes=number)), END) for number in range(MOST_NAMES + 10)]
    order, seen = with_new((), (), (files[0].name,))
    for at in range(1, len(files), 1000):
        names = tuple(each.name for each in in_order(files[: at + 1000], order, unread))
        order, seen = with_new(order, seen, names)
    assert MOST_NAMES - 1000 < len(order) <= MOST_NAMES
    assert len(seen) == len(files)


def offset(start: datetime, apart_s: float) -> Segment:
    """A file whose name in UTC is `apart_s` after the start that its time of modification tells."""
    return file(f"{start:%Y-%m-%d_%H-%M-%S-%f}", start - timedelta(seconds=apart_s) + LENGTH)


@pytest.mark.parametrize(
    ("one_s", "other_s", "by_times"),
    [
        (0, 3600, True),  # summer time ended between them
        (0, 3600 + 900, False),  # no zone changes by so much
        (-60, 3600 - 60, True),  # closed a minute after its last picture
        (-61, 3600 - 61, False),
        (60, 3600 + 60, True),
        (61, 3600 + 61, False),
        (420, 3600 + 420, False),  # 7 minutes are no zone
        (13 * 3600, 14 * 3600, True),  # the zone farthest east
        (13 * 3600 + 900, 14 * 3600 + 900, False),
        (-11 * 3600, -10 * 3600, True),
    ],
)
def test_times_of_modification_count_if_they_fit_a_zone(
    zone: None, one_s: float, other_s: float, by_times: bool
) -> None:
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    one, other = offset(start, one_s), offset(start + LENGTH, other_s)
    assert in_order([one, other], (), whole) == ([other, one] if by_times else [one, other])


def test_a_late_file_is_noted_behind_the_one_that_it_follows() -> None:
    order, seen = with_new((), ("b", "c", "d"), ("a", "b", "c", "d"))
    assert (order, seen) == (("d", "a"), ("b", "c", "d", "a"))
    again = with_new(("x", *order), seen, ("0", *seen))
    assert again == (("x", "d", "a", "0"), (*seen, "0")), "no name is noted twice"


@pytest.mark.parametrize(("noted", "more"), [(MOST_NAMES - 2, 2), (MOST_NAMES - 1, 0)])
def test_a_note_is_added_to_up_to_its_limit(noted: int, more: int) -> None:
    order = tuple(f"{number}" for number in range(noted))
    assert len(with_new(order, ("b",), ("a", "b"))[0]) == noted + more


@pytest.mark.parametrize("hours", [5.5, 12.75, -3.5, -11, 14, 0])
def test_any_zone_in_a_name_counts(zone: None, hours: float) -> None:
    """A file named in that zone has its place between two named in UTC, a minute before and after."""
    local = timezone(timedelta(hours=hours))
    minutes = [timedelta(minutes=each) for each in range(-1, 2)]
    early, late = (file(in_utc(END + each), END) for each in (minutes[0], minutes[2]))
    middle = file(f"{END.astimezone(local):%Y-%m-%d_%H-%M-%S-%f%z}", END)
    assert in_order(shuffled([early, middle, late]), (), unread) == [early, middle, late]


def test_of_two_files_with_one_start_the_one_not_noted_is_first(zone: None) -> None:
    noted, other = file(in_utc(STARTS[0]), END), file(in_berlin(STARTS[0]), END)
    assert in_order([noted, other], (noted.name,), unread) == [other, noted]
