"""What a signature covers: every member, so that changing any one makes it wrong; and the times of a call."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_core.auth.signed_calls import (
    CALL_LIFETIME_S,
    CallTimes,
    SignedCall,
    call_signature,
    canonical_call,
    canonical_reply,
    reply_signature,
)
from agent_core.base.errors import AuthenticationFailed
from agent_core.base.moments import rfc3339

KEY = "mk_" + "k" * 43
NOW = datetime(2026, 11, 22, 17, 3, 54, 120_000, tzinfo=UTC)

SETTINGS = settings(deadline=None, derandomize=True, database=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
requests = st.dictionaries(texts, values, max_size=4)
calls = st.builds(
    SignedCall,
    agent=texts,
    client=texts,
    key_id=texts,
    request=requests,
    response_topic=texts,
    correlation=st.binary(max_size=8),
    issued_at=texts,
    expires_at=texts,
    nonce=texts,
    signature=texts,
)


@SETTINGS
@given(calls, calls, st.sampled_from([each.name for each in fields(SignedCall)]))
def test_a_signature_changes_with_every_member(call: SignedCall, other: SignedCall, name: str) -> None:
    """Numbers are those of JavaScript: 1.0 and 1 are the same request."""
    changed = replace(call, **{name: getattr(other, name)})
    is_same = as_javascript(changed) == as_javascript(call)
    assert (call_signature(KEY, changed) == call_signature(KEY, call)) == (is_same or name == "signature")


@SETTINGS
@given(calls)
def test_what_is_signed_is_the_call_in_json(call: SignedCall) -> None:
    found = json.loads(canonical_call(call), parse_int=float)
    assert found.pop("purpose") == "camera-agent mqtt call 1"
    assert bytes.fromhex(found.pop("correlation")) == call.correlation
    assert found.pop("request") == call.request
    assert found.pop("key") == call.key_id
    names = ("agent", "client", "response_topic", "issued_at", "expires_at", "nonce")
    assert found == {name: getattr(call, name) for name in names}


@SETTINGS
@given(calls, st.text("abcdefgh", min_size=1, max_size=4))
def test_a_signature_changes_with_the_key(call: SignedCall, end: str) -> None:
    assert call_signature(KEY, call) != call_signature(KEY + end, call)


@SETTINGS
@given(texts, texts, st.binary(max_size=8), st.binary(max_size=30), st.integers(0, 3))
def test_a_signature_of_a_reply_changes_with_every_member(
    agent: str, nonce: str, correlation: bytes, reply: bytes, member: int
) -> None:
    names = ("agent", "nonce", "correlation", "reply")
    members: dict[str, Any] = dict(zip(names, (agent, nonce, correlation, reply), strict=True))
    name = names[member]
    changed = members | {name: members[name] + (b"x" if isinstance(members[name], bytes) else "x")}
    assert reply_signature(KEY, **members) != reply_signature(KEY, **changed)


@SETTINGS
@given(calls, st.binary(max_size=30))
def test_no_reply_is_signed_as_a_call(call: SignedCall, reply: bytes) -> None:
    covered = canonical_reply(agent=call.agent, nonce=call.nonce, correlation=call.correlation, reply=reply)
    assert covered != canonical_call(call)
    assert json.loads(covered)["purpose"] == "camera-agent mqtt reply 1"


@pytest.mark.parametrize("value", [2**53, float("nan"), float("inf"), "\ud800", {"\udfff": 1}])
def test_a_request_without_a_canonical_form_is_malformed(value: Any) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        canonical_call(signed({"params": {"x": value}}))
    assert caught.value.reason == "call_malformed"


def test_a_request_that_nests_too_deeply_is_malformed() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(AuthenticationFailed) as caught:
        canonical_call(signed({"params": deep}))
    assert caught.value.reason == "call_malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22T17:03:54Z",
        "2026-11-22T17:03:54.120+00:00",
        "2026-11-22 17:03:54.120Z",
        "2026-13-22T17:03:54.120Z",
        "2026-11-22T17:03:54.120Z\n",
        "٢٠٢٦-11-22T17:03:54.120Z",
    ],
)
@pytest.mark.parametrize("name", ["issued_at", "expires_at"])
def test_a_time_of_another_form_is_malformed(name: str, text: str) -> None:
    changes: Any = {name: text}
    with pytest.raises(AuthenticationFailed) as caught:
        CallTimes.of(replace(signed({}), **changes))
    assert caught.value.reason == "call_malformed"


@pytest.mark.parametrize(
    ("issued_s", "lifetime_s", "reason"),
    [
        (0, 30, None),
        (5, 30, None),
        (-29.999, 30, None),
        (0, 0.001, None),
        (0, 30.001, "call_lifetime"),
        (0, 0, "call_lifetime"),
        (0, -1, "call_lifetime"),
        (5.001, 1, "call_from_future"),
        (-30, 30, "call_expired"),
        (-3600, 20, "call_expired"),
        (-3600, 3620, "call_lifetime"),
    ],
)
def test_a_call_counts_between_its_issue_and_its_end(
    issued_s: float, lifetime_s: float, reason: str | None
) -> None:
    issued_at = NOW + timedelta(seconds=issued_s)
    times = CallTimes.of(
        replace(
            signed({}),
            issued_at=rfc3339(issued_at),
            expires_at=rfc3339(issued_at + timedelta(seconds=lifetime_s)),
        )
    )
    assert refusal(times) == reason


def test_a_client_with_a_wrong_clock_is_told_the_agents() -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        CallTimes(NOW + timedelta(hours=1), NOW + timedelta(hours=1, seconds=9)).check(NOW)
    assert "2026-11-22T17:03:54.120Z" in caught.value.details
    assert CALL_LIFETIME_S == 30


def as_javascript(call: SignedCall) -> Any:
    return [typed(getattr(call, each.name)) for each in fields(SignedCall) if each.name != "signature"]


def typed(value: Any) -> Any:
    """Return a value that equals another one exactly if JavaScript writes both alike: True is not 1, 1.0 is."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    return ("truth", value) if isinstance(value, bool) else value


def refusal(times: CallTimes) -> str | None:
    try:
        times.check(NOW)
    except AuthenticationFailed as error:
        return error.reason
    return None


def signed(request: Any) -> SignedCall:
    return SignedCall(
        agent="gate",
        client="console",
        key_id="0" * 16,
        request=request,
        response_topic="camera-agent/replies/console",
        correlation=b"\x01",
        issued_at=rfc3339(NOW),
        expires_at=rfc3339(NOW + timedelta(seconds=20)),
        nonce="n" * 32,
        signature="",
    )
