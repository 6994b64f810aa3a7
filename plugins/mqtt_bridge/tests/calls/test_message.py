"""Messages that ask for a call, and those that do not."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.calls.message import NoCall, cost_of, signed_call

from .clients import AGENT, PREFIX, Signer, incoming, properties_of

CALL = Signer().call(datetime(2026, 11, 22, tzinfo=UTC), params={"device": "camera0"})
PAYLOAD = json.dumps(CALL.request).encode()
MOST_BYTES = 8192


def read(message: Incoming) -> Any:
    return signed_call(message, prefix=PREFIX, agent=AGENT, most_bytes=MOST_BYTES)


def reason(message: Incoming) -> str:
    with pytest.raises(NoCall) as caught:
        read(message)
    return caught.value.reason


def test_a_call_is_read_as_it_was_signed() -> None:
    assert read(incoming(CALL, PAYLOAD)) == CALL
    assert read(incoming(CALL, PAYLOAD, content_type="")) == CALL
    extra = {**properties_of(CALL), "traceparent": "00-1-2-01"}
    assert read(incoming(CALL, PAYLOAD, properties=extra)) == CALL


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"retained": True}, "retained"),
        ({"payload": b" " * (MOST_BYTES + 1)}, "too_large"),
        ({"content_type": "text/plain"}, "content_type"),
        ({"correlation": None}, "correlation"),
        ({"correlation": b""}, "correlation"),
        ({"correlation": b"x" * 65}, "correlation"),
        ({"response_topic": ""}, "response_topic"),
        ({"response_topic": "camera-agent/replies/c2"}, "response_topic"),
        ({"response_topic": "camera-agent/replies/c1/x"}, "response_topic"),
        ({"response_topic": "camera-agent/box/call"}, "response_topic"),
        ({"properties": {}}, "properties"),
    ],
)
def test_another_message_is_none(changes: dict[str, Any], expected: str) -> None:
    assert reason(replace(incoming(CALL, PAYLOAD), **changes)) == expected


@pytest.mark.parametrize("name", ["client", "key", "issued_at", "expires_at", "nonce", "signature"])
@pytest.mark.parametrize("value", [None, "", "x" * 65, "a/b\n" * 17, "\x00" * 65])
def test_a_property_that_is_missing_or_too_long_makes_it_none(name: str, value: str | None) -> None:
    properties = properties_of(CALL)
    if value is None:
        del properties[name]
    else:
        properties[name] = value
    assert reason(incoming(CALL, PAYLOAD, properties=properties)) == "properties"


@pytest.mark.parametrize("client", ["a/b", "+", "#", "a b", "ä", "a\n", ".." * 33])
def test_a_client_has_a_name_of_one_level(client: str) -> None:
    properties = {**properties_of(CALL), "client": client}
    topic = f"camera-agent/replies/{client}"
    assert reason(incoming(CALL, PAYLOAD, properties=properties, response_topic=topic)) == "properties"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "json"),
        (b"\xff", "json"),
        (b"\xed\xa0\x80", "json"),
        (b"{", "json"),
        (b'{"id":1,"id":2,"method":"ping"}', "json"),
        (b'{"id":1,"method":"ping","params":{"a":NaN}}', "json"),
        (b'{"id":1,"method":"ping","params":{"a":1e999}}', "json"),
        (b'{"id":' + b"9" * 4400 + b',"method":"ping"}', "json"),
        (b'{"id":1,"method":"ping","params":' + b"[" * 64 + b"]" * 64 + b"}", "json"),
        (b"[" * 900, "json"),
        (b"[" * 4000, "too_large"),
        (b'{"id":1,"method":"ping","params":[' + b"1," * 1000 + b"1]}", "too_large"),
        (b"[]", "request"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "request"),
        (b'"ping"', "request"),
        (b"null", "request"),
        (b'{"jsonrpc":"2.0","method":"ping"}', "request"),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', "request"),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', "request"),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "request"),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', "request"),
        (b'{"jsonrpc":"2.0","id":1}', "request"),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', "request"),
    ],
)
def test_a_payload_is_one_request_with_an_id(payload: bytes, expected: str) -> None:
    assert reason(incoming(CALL, payload)) == expected


def test_the_cost_of_a_message_grows_with_its_bytes_and_values() -> None:
    small = cost_of(incoming(CALL, PAYLOAD))
    assert 1 < small < 1.5
    assert cost_of(incoming(CALL, b" " * 65_536)) == pytest.approx(33, abs=0.1)
    assert cost_of(incoming(CALL, b"[" * 3200)) == pytest.approx(102.5, abs=0.2)


def test_nesting_that_the_agent_accepts_is_accepted() -> None:
    deepest = b'{"id":1,"method":"ping","params":' + b"[" * 63 + b"]" * 63 + b"}"
    assert read(incoming(CALL, deepest)).request["id"] == 1


@settings(deadline=None, derandomize=True, database=None)
@given(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(sorted(properties_of(CALL))), st.text(max_size=70)),
    st.none() | st.binary(max_size=70),
    st.text(max_size=40),
)
def test_nothing_else_than_a_refusal_comes_of_what_is_odd(
    payload: bytes, properties: dict[str, str], correlation: bytes | None, topic: str
) -> None:
    message = incoming(
        CALL,
        payload,
        properties=properties_of(CALL) | properties,
        correlation=correlation,
        response_topic=topic,
    )
    with pytest.raises(NoCall):
        read(message)
