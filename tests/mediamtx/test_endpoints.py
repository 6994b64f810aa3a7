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
