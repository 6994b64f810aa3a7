"""Ids in Home Assistant."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge.home_assistant.ids import HubIds, escaped

_LEVELS = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1)


@given(_LEVELS)
def test_only_allowed_characters_remain(text: str) -> None:
    assert re.fullmatch("[a-zA-Z0-9_-]+", escaped(text))


@given(_LEVELS, _LEVELS)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) is (one == other)


def test_what_looks_like_an_escape_is_none() -> None:
    assert escaped("a_2eb") != escaped("a.b") == "a_2eb"


@given(_LEVELS, _LEVELS)
def test_two_agents_share_no_id(one: str, other: str) -> None:
    if one == other:
        return
    ids = HubIds("homeassistant", one), HubIds("homeassistant", other)
    assert len({each.node for each in ids}) == 2
    assert len({each.device("camera0") for each in ids} | {each.device() for each in ids}) == 4
    assert len({each.entity(each.device("camera0"), "status") for each in ids}) == 2


def test_topics_of_other_programs_are_not_ours() -> None:
    prefix, _, rest = HubIds("homeassistant", "0x00158d0001").all_descriptions.partition("/+/")
    assert (prefix, rest) == ("homeassistant", "camera-agent-0x00158d0001/+/config")
