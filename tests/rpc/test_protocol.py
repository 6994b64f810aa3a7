import json
import random
from typing import Any

import pytest

from agent_core.rpc.protocol import (
    MAX_BATCH,
    MAX_DEPTH,
    MAX_VALUES,
    Call,
    Refusal,
    batch_reply,
    notification,
    parse,
    result_reply,
)


def only(text: str) -> Call | Refusal:
    (entry,) = parse(text).entries
    return entry


def call(text: str) -> Call:
    entry = only(text)
    assert isinstance(entry, Call)
    return entry


def refusal(text: str) -> Any:
    entry = only(text)
    assert isinstance(entry, Refusal)
    return json.loads(entry.reply)


@pytest.mark.parametrize("request_id", ["1", "", "é\\ud800", 0, -7, 10**40, None, "a" * 1000])
def test_ids_come_back_unchanged(request_id: object) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
    entry = call(text)
    assert entry.wants_reply
    assert json.loads(result_reply(entry.id, '"pong"')) == {
        "jsonrpc": "2.0",
        "id": request_id,
        "result": "pong",
    }


def test_a_lone_surrogate_in_an_id_comes_back() -> None:
    entry = call('{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}')
    assert result_reply(entry.id, "1").encode() == b'{"jsonrpc":"2.0","id":"\\ud800","result":1}'


@pytest.mark.parametrize("request_id", ["true", "false", "1.5", "1.0", "[]", "{}"])
def test_other_ids_are_refused_with_null(request_id: str) -> None:
    reply = refusal(f'{{"jsonrpc":"2.0","id":{request_id},"method":"ping"}}')
    assert (reply["id"], reply["error"]["code"]) == (None, -32600)
    assert reply["error"]["data"]["hint"] == "Use a string, an integer or null."


def test_without_an_id_it_is_a_notification() -> None:
    assert not call('{"jsonrpc":"2.0","method":"ping"}').wants_reply


@pytest.mark.parametrize("params", ["", ',"params":{}'])
def test_absent_params_are_empty(params: str) -> None:
    assert call(f'{{"jsonrpc":"2.0","id":1,"method":"ping"{params}}}').params == {}


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "{", "[1,", "nul", "{'a':1}", "\ufeff{}", '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}',
        '{"a":1e999}', '{"a":' + "9" * 5000 + "}", "[" * 100000, '{"a":' * 5000, "[" * 65 + "]" * 65, '"\x01"',
    ],
)  # fmt: skip
def test_what_is_not_json_is_a_parse_error(text: str) -> None:
    reply = refusal(text)
    assert (reply["id"], reply["error"]["code"], reply["error"]["message"]) == (None, -32700, "Parse error")
    assert set(reply["error"]["data"]) == {"reason", "details", "suggestion"}


def test_nesting_up_to_the_limit_is_read_and_brackets_in_strings_do_not_count() -> None:
    inside = MAX_DEPTH - 1
    deep = call('{"jsonrpc":"2.0","method":"x","params":' + "[" * inside + "]" * inside + "}")
    assert isinstance(deep.params, list)
    text = json.dumps({"jsonrpc": "2.0", "method": "x", "params": {"a": '[{"\\' * 500}})
    assert call(text).params == {"a": '[{"\\' * 500}


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ("1", None),
        ('"ping"', None),
        ("null", None),
        ("{}", None),
        ('{"jsonrpc":"2.0","method":1,"params":"bar"}', None),
        ('{"jsonrpc":"1.0","id":3,"method":"ping"}', 3),
        ('{"id":3,"method":"ping"}', 3),
        ('{"jsonrpc":2.0,"id":3,"method":"ping"}', 3),
        ('{"jsonrpc":"2.0","id":"x"}', "x"),
        ('{"jsonrpc":"2.0","id":4,"result":"pong"}', 4),
        ('{"jsonrpc":"2.0","id":5,"method":"ping","params":"bar"}', 5),
        ('{"jsonrpc":"2.0","id":5,"method":"ping","params":null}', 5),
        ('{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}', None),
        ('{"jsonrpc":"2.0","id":5,"method":"ping","params":{"a":1,"a":1}}', None),
        ("[]", None),
    ],
)
def test_bad_envelopes_are_invalid_requests(text: str, request_id: object) -> None:
    reply = refusal(text)
    assert (reply["id"], reply["error"]["code"]) == (request_id, -32600)
    assert reply["error"]["message"] == "Invalid Request"
    assert reply["error"]["data"]["hint"]


def test_a_batch_has_good_and_bad_entries() -> None:
    message = parse('[1,{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"note"},[]]')
    assert message.is_batch
    assert [type(entry) for entry in message.entries] == [Refusal, Call, Call, Refusal]


def test_batches_are_limited() -> None:
    one = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert len(parse(f"[{','.join([one] * MAX_BATCH)}]").entries) == MAX_BATCH
    reply = refusal(f"[{','.join([one] * (MAX_BATCH + 1))}]")
    assert reply["error"]["data"]["reason"] == "batch_too_large"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Each has a part that an expression which gives characters back reads once for each of its quotes or brackets.
        ("[]" * 65 + '"' + '\\"' * 500_000, "not_json"),
        ("[" * 65 + '"' + '\\"' * 500_000, "too_deep"),
        ('{"a":[' + "[]," * 70 + '"' + '\\"' * 500_000, "not_json"),
        ('{"a":[' + "1," * 70 + '"' * 500_000, "not_json"),
        ('{"a":[' + "1," * 70 + '"\\' * 500_000, "not_json"),
        ('{"a":[' + "1," * 70 + " " * 1_000_000, "not_json"),
        ('{"a":[' + "1," * 70 + '"",' * 9000 + '"' + "\\" * 500_000, "not_json"),
        ("\n" * 1_000_000 + "x", "not_json"),
        ("9" * 1_000_000, "bad_number"),
    ],
    ids=range(9),
)
def test_a_long_message_is_read_once(text: str, reason: str) -> None:
    """Read twice for each character, these would take hours: the test's time-out is the assertion."""
    assert refusal(text)["error"]["data"]["reason"] == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":[' + "[]," * 340_000, "too_many_values"),
        ('{"a":[' + '"",' * 340_000, "too_many_values"),
        ('{"a":[' + "1," * 500_000, "too_many_values"),
        ("{" + "".join(f'"{number}":1,' for number in range(100_000)), "too_many_values"),
        ("[" + "[]," * 340_000, "batch_too_large"),
        ("\n [" + '{"jsonrpc":"2.0","id":1,"method":"ping"},' * 25_000, "batch_too_large"),
        ("[" * 500_000, "too_deep"),
    ],
    ids=range(7),
)
def test_what_exceeds_a_limit_is_refused_unread(text: str, reason: str) -> None:
    """None of these ends as JSON does: a reader of the whole would say so instead."""
    assert refusal(text)["error"]["data"]["reason"] == reason


def test_values_are_limited_and_text_that_looks_like_them_is_not() -> None:
    def holding(values: int) -> str:
        return json.dumps({"jsonrpc": "2.0", "method": "x", "params": [1] * values})

    most = call(holding(MAX_VALUES - 5))
    assert len(most.params) == MAX_VALUES - 5
    assert refusal(holding(MAX_VALUES))["error"]["data"]["reason"] == "too_many_values"


@pytest.mark.parametrize(
    "start", ['"jsonrpc":"2.0","id":%s,"method":"ping"', ' "method" : "ping", "id" : %s ']
)
@pytest.mark.parametrize("request_id", [7, -1, 0, "seven", "", 10**18 - 1])
def test_a_caller_learns_which_of_its_calls_is_too_large(start: str, request_id: int | str) -> None:
    text = "{" + start % json.dumps(request_id) + ',"params":{"a":[' + "0," * MAX_VALUES + "0]}}"
    reply = refusal(text)
    assert (reply["id"], reply["error"]["data"]["reason"]) == (request_id, "too_many_values")


@pytest.mark.parametrize("request_id", ["007", "1.5", "true", "null", '"\\u0041"', '"a\nb"', "[1]", "1e3"])
def test_an_id_that_cannot_be_told_from_the_start_is_null(request_id: str) -> None:
    assert refusal(f'{{"id":{request_id},"params":[' + "0," * MAX_VALUES + "0]}")["id"] is None
    long_text = '[{,"' * MAX_VALUES
    assert call(json.dumps({"jsonrpc": "2.0", "method": "x", "params": [long_text]})).params == [long_text]


def test_replies_of_a_batch_go_together_and_none_is_nothing() -> None:
    assert batch_reply(["1", "2"]) == "[1,2]"
    assert batch_reply([]) is None


def test_a_notification_has_no_id() -> None:
    assert json.loads(notification("a.b", '{"x":1}')) == {
        "jsonrpc": "2.0",
        "method": "a.b",
        "params": {"x": 1},
    }


def test_whatever_comes_is_read_or_refused() -> None:
    """Nothing escapes, and every refusal is a well-formed error."""
    rng = random.Random(20261122)
    seeds = [
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[1,2.5,"x\\u0041",null,true]}}',
        '[{"jsonrpc":"2.0","id":"a","method":"m"},{"jsonrpc":"2.0","method":"n","params":[1]}]',
    ]
    alphabet = '{}[]",:\\0123456789.eE+-truefalsn \n\x00é\ud800\U0001f600'
    for _ in range(5000):
        text = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(text))
            text[place : place + rng.randint(0, 3)] = rng.choices(alphabet, k=rng.randint(0, 4))
        for entry in parse("".join(text)).entries:
            if isinstance(entry, Refusal):
                reply = json.loads(entry.reply)
                assert reply["error"]["code"] in (-32700, -32600)
            else:
                result_reply(entry.id, "null").encode()


def test_lists_and_objects_count_together_towards_the_depth() -> None:
    levels = MAX_DEPTH // 2 + 1
    deep = '[{"a":' * levels + "1" + "}]" * levels
    assert refusal('{"jsonrpc":"2.0","id":1,"method":"x","params":' + deep + "}")["error"]["code"] == -32700


def test_what_is_no_batch_is_answered_alone() -> None:
    assert not parse('{"jsonrpc":"2.0","id":1,"method":"ping"}').is_batch
    assert not parse("{").is_batch
    assert not parse("[]").is_batch, "an empty batch has one reply"
    assert parse('[{"jsonrpc":"2.0","id":1,"method":"ping"}]').is_batch


@pytest.mark.parametrize(("zeros", "fits"), [(96, True), (97, False)])
def test_values_are_counted_exactly(zeros: int, fits: bool) -> None:
    """The object, its three members, and the items of the third."""
    text = json.dumps({"jsonrpc": "2.0", "method": "m", "params": [0] * zeros})
    (entry,) = parse(text, max_values=100).entries
    assert isinstance(entry, Call) is fits


@pytest.mark.parametrize(("brackets", "fits"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_depth_is_counted_exactly_beside_other_brackets(brackets: int, fits: bool) -> None:
    """The object is a level too; the brackets closed before are none."""
    nested = "[" * (brackets - 10) + "[]," + "[" * 10 + "]" * brackets
    text = f'{{"jsonrpc":"2.0","method":"m","params":[{"[]," * 100}{nested[1:]}}}'
    entry = only(text)
    assert isinstance(entry, Call) is fits


def test_what_follows_a_complete_value_is_not_measured() -> None:
    text = '{"jsonrpc":"2.0","method":"m"}' + "[" * 200
    assert "Extra data" in refusal(text)["error"]["data"]["details"]


def test_what_is_not_json_says_where() -> None:
    assert "at line 2, column 3." in refusal("{\n  a: 1}")["error"]["data"]["details"]


def test_a_member_that_comes_twice_is_named_as_the_fault() -> None:
    assert refusal('{"id":5,"id":6}')["error"]["data"]["reason"] == "duplicate_key"


def test_only_the_spaces_of_json_may_stand_before_a_batch() -> None:
    calls = "[" + '{"jsonrpc":"2.0","id":1,"method":"ping"},' * 60
    assert refusal(f" \t\r\n{calls}")["error"]["data"]["reason"] == "batch_too_large"
    assert refusal(f"\f{calls}")["error"]["data"]["reason"] == "not_json"
