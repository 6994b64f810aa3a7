"""Parameters of views from the query of a request."""

import pytest
from starlette.requests import Request

from agent_core.base.errors import InvalidParams, NotFound
from agent_core.base.models import PictureFormat
from agent_core.web.views.query import LiveParams, NoParams, PictureParams, camera_of, params_of


def request(query: str = "", device: str = "camera0") -> Request:
    return Request({"type": "http", "query_string": query.encode(), "path_params": {"device": device}})


def test_words_and_numbers_are_taken() -> None:
    found = params_of(request("max_age_ms=0&width=8192&quality=100&format=png"), PictureParams)
    assert found == PictureParams(max_age_ms=0, width=8192, quality=100, format=PictureFormat.PNG)
    assert params_of(request(), PictureParams) == PictureParams()


def test_a_view_links_secret_is_no_parameter_of_the_view() -> None:
    assert params_of(request("view=secret"), NoParams) == NoParams()


@pytest.mark.parametrize(
    ("text", "fps"),
    [("5", 5), ("0.5", 0.5), ("12.25", 12.25), ("1" * 3, 111), ("0." + "1" * 18, 0.111111111111111111)],
)
def test_rates_may_have_a_fraction(text: str, fps: float) -> None:
    assert params_of(request(f"fps={text}"), LiveParams).fps == fps


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "1e3",
        "-1",
        "+1",
        "1.",
        ".5",
        "1.5.5",
        "1,5",
        "0x10",
        "1_0",
        "%D9%A1",
        "%C2%B2",
        "0." + "1" * 19,
        "0",
    ],
)
def test_other_texts_are_no_rate(text: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        params_of(request(f"fps={text}"), LiveParams)
    assert caught.value.param == "fps"


@pytest.mark.parametrize(
    ("query", "param"),
    [("fps=1&fps=2", "fps"), ("x" * 200 + "=1&" + "x" * 200 + "=2", "x" * 100)],
)
def test_a_parameter_is_given_once(query: str, param: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        params_of(request(query), LiveParams)
    assert (caught.value.param, caught.value.rule) == (param, "once")


@pytest.mark.parametrize("query", ["height=5", "width=15", "width=8193", "width=16.5"])
def test_sizes_have_limits(query: str) -> None:
    with pytest.raises(InvalidParams):
        params_of(request(query), LiveParams)
    assert params_of(request("width=16"), LiveParams).width == 16


def test_a_name_that_no_camera_has_is_not_found() -> None:
    assert camera_of(request(device="camera7")) == "camera7"
    with pytest.raises(NotFound) as caught:
        camera_of(request(device="../" * 100))
    assert caught.value.data() == {"resource": "camera", "id": ("../" * 100)[:100]}


@pytest.mark.parametrize("number", ["_=123456789", "t=1700000000.123", "123456789", "0.12345678"])
def test_a_new_number_against_caches_is_ignored_and_what_follows_is_not(number: str) -> None:
    assert params_of(request(f"{number}&fps=5"), LiveParams).fps == 5


@pytest.mark.parametrize("number", ["_=12345678", "t=1.2.3456789", "t=x123456789", "12345678"])
def test_other_unknown_parameters_are_refused(number: str) -> None:
    with pytest.raises(InvalidParams):
        params_of(request(f"{number}&fps=5"), LiveParams)
