from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from agent_core.base.errors import InvalidParams
from agent_core.plugin.abc import RpcParams
from agent_core.rpc.params import Parameters


class Kind(StrEnum):
    A = "a"


class Scalars(RpcParams):
    limit: int = Field(50, ge=1, le=1000)
    device: Annotated[str, Field(pattern=r"^camera[0-9]+$")]
    kind: Kind | None = None
    mode: Literal["x", "y"] = "x"
    rate: float = 1.0

    @field_validator("rate")
    @classmethod
    def _no_seven(cls, rate: float) -> float:
        if rate == 7:
            raise ValueError("seven is taken")
        return rate


class Inner(RpcParams):
    name: str | None = Field(None, pattern="^[a-z]+$", description="a word in small letters")


class Outer(RpcParams):
    needed: int
    inner: Inner | None = None


class Values(RpcParams):
    values: dict[str, bool | int | Annotated[str, Field(max_length=3)]]


class Lists(RpcParams):
    topics: list[str]


def refused(params: dict[str, object] | list[object], model: type[RpcParams] = Scalars) -> InvalidParams:
    with pytest.raises(InvalidParams) as caught:
        Parameters(model).validate(params)
    return caught.value


def test_named_params_become_the_model() -> None:
    assert Parameters(Scalars).validate({"device": "camera0", "kind": "a", "rate": 2}) == Scalars(
        device="camera0", kind=Kind.A, rate=2.0
    )


def test_positions_follow_required_first() -> None:
    assert Parameters(Scalars).names == ("device", "limit", "kind", "mode", "rate")
    assert Parameters(Scalars).validate(["camera1", 7]) == Scalars(device="camera1", limit=7)


@pytest.mark.parametrize(
    ("params", "param", "rule"),
    [
        ({}, "device", "required"),
        ({"device": "cam"}, "device", "string_pattern_mismatch"),
        ({"device": 5}, "device", "string_type"),
        ({"device": "camera0", "limit": "5"}, "limit", "int_type"),
        ({"device": "camera0", "limit": True}, "limit", "int_type"),
        ({"device": "camera0", "limit": 0}, "limit", "greater_than_equal"),
        ({"device": "camera0", "kind": "b"}, "kind", "enum"),
        ({"device": "camera0", "mode": "z"}, "mode", "literal_error"),
        ({"device": "camera0", "rate": 7}, "rate", "value_error"),
        ({"device": "camera0", "rate": 10**400}, "rate", "finite_number"),
        ({"device": "\ud800"}, "params", "json_invalid"),
        (["camera0", 1, "a", "x", 1.0, 6], "params", "too_many"),
        ([{}], "device", "string_type"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(params: dict[str, object] | list[object], param: str, rule: str) -> None:
    error = refused(params)
    if rule != "finite_number":  # pydantic's word for it has changed before
        assert error.rule == rule
    assert error.param == param
    assert error.hint


@pytest.mark.parametrize(
    ("value", "rule", "hint"),
    [
        (None, "type", "Input should be a valid boolean or a valid integer or a valid string"),
        ([1], "type", "Input should be a valid boolean or a valid integer or a valid string"),
        ("long", "string_too_long", "String should have at most 3 characters"),
    ],
)
def test_of_a_value_that_may_have_several_types_the_place_and_all_types_are_named(
    value: object, rule: str, hint: str
) -> None:
    error = refused({"values": {"first": 1, "second": value}}, Values)
    assert (error.param, error.rule, error.hint) == ("values.second", rule, hint)


def test_unknown_names_get_the_nearest() -> None:
    assert refused({"device": "camera0", "limt": 5}).hint == "Did you mean 'limit'?"
    assert refused({"device": "camera0", "zzz": 5}).hint == "Known: device, limit, kind, mode, rate."
    assert refused({"x": 1}, RpcParams).hint == "It takes none."


def test_an_unknown_name_is_named_before_a_missing_one() -> None:
    error = refused({"devise": "camera0"})
    assert (error.param, error.rule) == ("devise", "unknown")
    assert "'devise'" in error.details
    assert error.hint == "Did you mean 'device'?"


def test_an_unknown_name_inside_is_named_with_where_it_stands() -> None:
    error = refused({"inner": {"nam": "x"}}, Outer)
    assert (error.param, error.hint) == ("inner.nam", "Did you mean 'name'?")


def test_of_many_unknown_names_one_is_looked_at() -> None:
    class Counted(dict[str, object]):
        looks = 0

        def __iter__(self) -> Iterator[str]:
            for name in super().__iter__():
                self.looks += 1
                yield name

    many = Counted({f"x{number}": number for number in range(10_000)})
    with pytest.raises(InvalidParams):
        Parameters(RpcParams).validate(many)
    assert many.looks == 1


@pytest.mark.parametrize("params", [{"inner": {"name": "A B"}, "needed": 1}])
def test_a_form_is_described_and_not_shown_as_a_regular_expression(params: dict[str, object]) -> None:
    error = refused(params, Outer)
    assert error.hint == "a word in small letters"
    assert "a word in small letters" in error.details
    assert "pattern" not in error.details + error.hint
    assert "^" not in error.details + error.hint


def test_the_value_is_never_repeated() -> None:
    error = refused({"device": "hunter2"})
    assert "hunter2" not in repr([error.details, error.data(), error.suggestion])


def test_arrays_only_where_all_is_scalar() -> None:
    assert refused(["a"], Lists).rule == "by_name"
    assert Parameters(RpcParams).validate([]) == RpcParams()
    assert refused([1], RpcParams).rule == "too_many"
