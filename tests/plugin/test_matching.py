"""Choice among settings tables by the names of a camera."""

from dataclasses import dataclass

import pytest

from agent_core.plugin.matching import MatchedTables, each_id_once, each_matched_once, matches


@dataclass(frozen=True)
class Named:
    match: str
    id: str | None = None


@pytest.mark.parametrize(
    ("match", "text", "is_meant"),
    [
        ("HD Cam [rev B]", "HD Cam [rev B]", True),
        ("HD Cam [rev B]*", "HD Cam [rev B] #2", True),
        ("*[HD]*", "Küche/Hof №1 [HD] \u2028x", True),
        ("SER-[7]x", "SER-[7]x", True),
        ("SER-[7]?", "SER-[7]x", True),
        ("a[", "a[", True),
        ("Cam (*)+.", "Cam (2)+.", True),
        ("what?", "what?", True),
        ("Cam [0-9]", "Cam 7", True),
        ("Cam [!0-9]", "Cam 7", False),
        ("Cam [0-9]", "Cam x", False),
        ("Cam.", "Camx", False),
        ("Cam", "Cam\n", False),
    ],
)
def test_brackets_are_taken_as_they_are_before_they_are_a_set(match: str, text: str, is_meant: bool) -> None:
    assert matches(match, text) is is_meant


def test_the_first_table_counts_and_those_without_a_camera_are_known() -> None:
    tables = MatchedTables([Named("other"), Named("imx*"), Named("imx219"), Named("")])
    assert tables.of(["", "/base/i2c@1/imx219@10", "imx219"]) == Named("imx*")
    assert tables.of(["ov5647"]) is None
    assert tables.unused == ("other", "imx219", "")


def test_tables_that_contradict_each_other_are_refused() -> None:
    good = (Named("a", "camera1"), Named("b"), Named("c"))
    assert each_matched_once(each_id_once(good)) == good
    with pytest.raises(ValueError, match="two tables with match 'a'"):
        each_matched_once((Named("a"), Named("b"), Named("a")))
    with pytest.raises(ValueError, match="two tables with id 'camera1'"):
        each_id_once((Named("a", "camera1"), Named("b", "camera1")))
