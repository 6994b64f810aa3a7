"""Endpoints of a media server, from the settings and from what a component reports."""

from dataclasses import dataclass
from typing import Any

import pytest

from agent_core.base.errors import PluginError
from agent_core.config import MediaServerConfig
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.plugin.rtsp import Credentials


@dataclass
class Reported:
    api_url: Any = "http://127.0.0.1:1"
    rtsp_url: Any = "rtsp://127.0.0.1:2"
    credentials: Any = None


def test_configured_endpoints_have_no_slash_at_the_end_and_credentials_only_with_a_user() -> None:
    urls = {"api_url": "http://host:1/", "rtsp_url": "rtsp://host:2/"}
    open_to_all = MediaServerConfig(mode="external", **urls)
    guarded = MediaServerConfig(mode="external", user="agent", password="secret", **urls)
    assert Endpoints.configured(open_to_all) == Endpoints("http://host:1", "rtsp://host:2", None)
    assert Endpoints.configured(guarded).credentials == Credentials("agent", "secret")


def test_reported_endpoints_are_copied() -> None:
    reported = Reported(credentials=Credentials("agent", "secret"))
    copied = Endpoints.reported(reported)
    reported.api_url = "http://elsewhere:3"
    assert copied == Endpoints("http://127.0.0.1:1", "rtsp://127.0.0.1:2", Credentials("agent", "secret"))


@pytest.mark.parametrize(
    ("rtsp_url", "credentials", "url", "known"),
    [
        ("rtsp://127.0.0.1:8554", None, "rtsp://127.0.0.1:8554/camera0", None),
        ("rtsp://[::1]:8554", ("a", "b"), "rtsp://[::1]:8554/camera0", ("a", "b")),
        ("rtsp://me:p%40ss@host/live", None, "rtsp://host/live/camera0", ("me", "p@ss")),
        ("rtsp://me@host", None, "rtsp://host/camera0", ("me", "")),
        ("rtsp://me:old@host", ("a", "b"), "rtsp://host/camera0", ("a", "b")),
    ],
)
def test_the_address_to_read_has_no_credentials_in_it(
    rtsp_url: str, credentials: tuple[str, str] | None, url: str, known: tuple[str, str] | None
) -> None:
    at = Endpoints("http://127.0.0.1:1", rtsp_url, Credentials(*credentials) if credentials else None)
    assert at.reading("camera0") == (url, Credentials(*known) if known else None)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"api_url": None}, "api_url is not an address"),
        ({"rtsp_url": "host:8554"}, "rtsp_url is not an address"),
        ({"api_url": "http://::1:9997"}, "api_url is not an address"),
        ({"rtsp_url": "rtsp://host:x"}, "rtsp_url is not an address"),
        ({"credentials": ("agent", "secret")}, "credentials are not Credentials"),
    ],
)
def test_unusable_endpoints_are_refused_with_the_fault(wrong: dict[str, Any], fault: str) -> None:
    with pytest.raises(PluginError, match=f"Reported, whose {fault}") as caught:
        Endpoints.reported(Reported(**wrong))
    assert caught.value.reason == "wrong_endpoints"
    assert "secret" not in caught.value.details
