from email.utils import formatdate
from random import Random

import pytest

from agent_core.testing.local_time import local_time_zone
from agent_core.web.ranges import Answer, answer_for

ETAG = '"1-2-3"'
MODIFIED_S = 1_700_000_000.5
DATE = formatdate(MODIFIED_S, usegmt=True)
LATER = formatdate(MODIFIED_S + 60, usegmt=True)
EARLIER = formatdate(MODIFIED_S - 60, usegmt=True)
ALL = Answer(200, 0, 100)
NONE = Answer(304, 0, 0)


def answered(headers: dict[str, str], size_bytes: int = 100) -> Answer:
    return answer_for(headers, size_bytes=size_bytes, etag=ETAG, modified_s=MODIFIED_S)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-0", Answer(206, 0, 1)),
        ("bytes=0-99", Answer(206, 0, 100)),
        ("bytes=10-19", Answer(206, 10, 20)),
        ("bytes=10-", Answer(206, 10, 100)),
        ("bytes=99-", Answer(206, 99, 100)),
        ("bytes=50-500", Answer(206, 50, 100)),
        ("bytes=-1", Answer(206, 99, 100)),
        ("bytes=-100", Answer(206, 0, 100)),
        ("bytes=-500", Answer(206, 0, 100)),
        ("Bytes=0-0", Answer(206, 0, 1)),
        ("bytes= 0-0 ", Answer(206, 0, 1)),
        ("bytes=100-", Answer(416, 0, 0)),
        ("bytes=100-200", Answer(416, 0, 0)),
        ("bytes=9999999999999999999-", Answer(416, 0, 0)),
        ("bytes=-0", Answer(416, 0, 0)),
        ("bytes=-", ALL),
        ("bytes= -", ALL),
        ("bytes=", ALL),
        ("bytes=20-10", ALL),
        ("bytes=a-b", ALL),
        ("bytes=0-1,5-6", ALL),
        ("bytes=99999999999999999999-", ALL),
        ("bytes=\u0661-", ALL),
        ("lines=0-1", ALL),
        ("0-1", ALL),
        ("", ALL),
    ],
)
def test_ranges(wanted: str, expected: Answer) -> None:
    assert answered({"range": wanted}) == expected


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=0-0", "bytes=-5"])
def test_no_part_of_an_empty_file(wanted: str) -> None:
    assert answered({"range": wanted}, 0) == Answer(416, 0, 0)
    assert answered({}, 0) == Answer(200, 0, 0)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"if-none-match": ETAG}, NONE),
        ({"if-none-match": f'"x", W/{ETAG}'}, NONE),
        ({"if-none-match": f'"x",{ETAG}'}, NONE),
        ({"if-none-match": "*"}, NONE),
        ({"if-none-match": '"x"'}, ALL),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, ALL),
        ({"if-modified-since": DATE}, NONE),
        ({"if-modified-since": LATER}, NONE),
        ({"if-modified-since": EARLIER}, ALL),
        ({"if-modified-since": "Tue, 14 Nov 2023 21:13:20 -0100"}, NONE),
        ({"if-modified-since": "Tue, 14 Nov 2023 23:13:19 +0100"}, ALL),
        ({"if-modified-since": "yesterday"}, ALL),
        ({"if-modified-since": ""}, ALL),
        ({"if-none-match": ETAG, "range": "bytes=0-0"}, NONE),
        ({"if-range": ETAG, "range": "bytes=0-0"}, Answer(206, 0, 1)),
        ({"if-range": DATE, "range": "bytes=0-0"}, Answer(206, 0, 1)),
        ({"if-range": '"old"', "range": "bytes=0-0"}, ALL),
        ({"if-range": EARLIER, "range": "bytes=0-0"}, ALL),
        ({"if-range": f"W/{ETAG}", "range": "bytes=0-0"}, ALL),
    ],
)
def test_conditions(headers: dict[str, str], expected: Answer) -> None:
    assert answered(headers) == expected


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 99999999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 +99999999999",
        "Mon, 01 Jan 2020 99999999999:00:00 GMT",
        "01 \xb2 2020 00:00:00",
        "Mon,",
        "01 Jan",
        "1 2 3",
        ":",
        "(((((",
        "01 Jan " + "9" * 4301 + " 00:00:00",
        "1" * 5000,
    ],
)
def test_what_is_no_date_makes_no_condition(date: str) -> None:
    assert answered({"if-modified-since": date}) == ALL
    assert answered({"if-range": date, "range": "bytes=0-0"}) == ALL


def test_a_date_may_have_spaces_up_to_a_length() -> None:
    assert answered({"if-modified-since": DATE.ljust(64)}) == NONE
    assert answered({"if-modified-since": DATE.ljust(65)}) == ALL


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_date_without_a_zone_is_in_utc_wherever_the_agent_runs(zone: str) -> None:
    with local_time_zone(zone):
        assert answered({"if-modified-since": "Tue, 14 Nov 2023 22:13:20 -0000"}) == NONE
        assert answered({"if-modified-since": "Tue, 14 Nov 2023 22:13:19 -0000"}) == ALL


def test_no_text_is_more_than_the_date_parser_can_take() -> None:
    words = [
        "Mon,",
        "01",
        "Jan",
        "2020",
        "00:00:00",
        "GMT",
        "-2359",
        "+9999",
        "9" * 20,
        "",
        ":",
        ".",
        "+",
        "\xb2",
    ]
    words += [",", "::", "0", "0001", "9999", "PM", "(x)", "1:", "-1", "1e9", "31"]
    random = Random(9)
    for _ in range(5000):
        text = " ".join(random.choices(words, k=random.randint(1, 7)))
        assert answered({"if-modified-since": text}) in (ALL, NONE)
