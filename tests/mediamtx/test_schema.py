"""Answers of old and new servers, as they come, read into one shape."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from agent_core.mediamtx.schema import HOT_KEYS, Features, Page, PathConf, RuntimePath, ServerInfo

NEW_ITEM = """{"name":"camera0","confName":"all_others","ready":false,"readyTime":null,"available":true,
"availableTime":"2026-08-18T12:00:01.123456789+02:00","online":true,"onlineTime":"2026-08-18T12:00:01.123501+02:00",
"source":{"type":"rtspSession","id":"1f1d"},"tracks":["H264"],"tracks2":[{"codec":"H264","codecProps":null}],
"readers":[{"type":"webRTCSession","id":"a"}],"inboundBytes":123456,"outboundBytes":123000,
"inboundFramesInError":0,"bytesReceived":1,"bytesSent":2}"""
OLD_ITEM = """{"name":"camera0","confName":"camera0","source":{"type":"rtspSource","id":""},"ready":true,
"readyTime":"2026-08-18T12:00:01Z","tracks":["H264"],"bytesReceived":7,"bytesSent":8,"readers":[]}"""
IDLE_ITEM = """{"name":"camera0","confName":"camera0","ready":false,"readyTime":null,"available":false,
"availableTime":null,"source":null,"tracks":[],"readers":null,"inboundBytes":0,"outboundBytes":0}"""


def test_a_live_path_of_a_new_server() -> None:
    path = RuntimePath.model_validate_json(NEW_ITEM)
    assert path.live
    assert path.live_since == datetime(2026, 8, 18, 10, 0, 1, 123456, tzinfo=UTC)
    assert (path.inbound_bytes, path.outbound_bytes, path.conf_name) == (123456, 123000, "all_others")
    assert path.source is not None
    assert (path.source.type, path.tracks, path.readers[0].id) == ("rtspSession", ("H264",), "a")


def test_a_live_path_of_an_old_server() -> None:
    path = RuntimePath.model_validate_json(OLD_ITEM)
    assert path.live
    assert path.live_since == datetime(2026, 8, 18, 12, 0, 1, tzinfo=UTC)
    assert (path.inbound_bytes, path.outbound_bytes) == (7, 8)


def test_an_idle_path_with_nulls() -> None:
    path = RuntimePath.model_validate_json(IDLE_ITEM)
    assert (path.live, path.live_since, path.source, path.readers) == (False, None, None, ())


def test_versions_are_compared_as_numbers() -> None:
    assert ServerInfo(version="v1.20.1").version_numbers == (1, 20, 1)
    assert ServerInfo(version="v1.9.3-4-g1234").version_numbers == (1, 9, 3)
    assert ServerInfo(version="built at home").version_numbers is None
    assert ServerInfo.model_validate({"version": "v1.20.1", "started": ""}).started is None


def test_features_follow_the_version_else_the_fields() -> None:
    assert not Features.of_version((1, 15, 0)).hot_record_path
    assert Features.of_version((1, 15, 1)).hot_record_path
    assert Features.of_keys(frozenset(("record", "alwaysAvailable"))).hot_keys == HOT_KEYS
    assert Features.of_keys(frozenset(("record",))).hot_keys == {"record"}


def test_only_what_is_asked_for_is_sent_and_in_the_servers_units() -> None:
    conf = PathConf(
        name="never sent",
        record=False,
        record_part_duration_s=0.25,
        record_delete_after_s=0,
        record_max_part_size_bytes=50 << 20,
    )
    assert conf.wire() == {
        "record": False,
        "recordPartDuration": "250ms",
        "recordDeleteAfter": "0s",
        "recordMaxPartSize": "50M",
    }


def test_comparison_is_by_value_not_by_spelling() -> None:
    wanted = PathConf(
        record_segment_duration_s=3600,
        record_delete_after_s=0,
        run_on_demand_close_after_s=1 / 3,
        source="publisher",
    )
    actual = PathConf.model_validate(
        {
            "name": "camera0",
            "source": "publisher",
            "recordSegmentDuration": "1h0m0s",
            "recordDeleteAfter": "",
            "runOnDemandCloseAfter": "333.333333ms",
            "unknown": {"of": "later versions"},
        }
    )
    assert wanted.missing_from(actual) == PathConf()
    other = PathConf(record=True, record_segment_duration_s=60, source="publisher")
    assert other.missing_from(actual) == PathConf(record=True, record_segment_duration_s=60)


def test_pages_read_null_as_empty() -> None:
    assert Page[PathConf].model_validate({"itemCount": 0, "pageCount": 0, "items": None}).items == ()


@pytest.mark.parametrize("data", ["[]", '"x"', "{}", '{"name": 1}', '{"name": "a", "available": "perhaps"}'])
def test_what_is_not_a_path_is_refused(data: str) -> None:
    with pytest.raises(ValidationError):
        RuntimePath.model_validate_json(data)
