"""Configuration of a managed MediaMTX: its settings, the operator's own, and those that are refused."""

import json
import socket

import pytest
from pydantic import ValidationError

from agent_core.config.sections import MediaServerConfig
from agent_core.mediamtx.managed.config import Ports, Version, configuration
from agent_core.mediamtx.managed.program import environment
from agent_core.mediamtx.redaction import without_addresses, without_credentials
from agent_core.plugin.rtsp import Credentials

CREDENTIALS = Credentials("camera-agent", "generated")
LOOPBACK = ["127.0.0.1/32", "::1/128"]


def made(version: Version = (1, 20, 1), **settings: object) -> dict[str, object]:
    config = MediaServerConfig.model_validate({"mode": "managed", **settings})
    return dict(json.loads(configuration(config, Ports.of(config), CREDENTIALS, version)))


def users(content: dict[str, object]) -> list[tuple[str, list[str], list[str]]]:
    found = content["authInternalUsers"]
    assert isinstance(found, list)
    return [(each["user"], each["ips"], [one["action"] for one in each["permissions"]]) for each in found]


def test_it_listens_on_loopback_only_and_deletes_nothing() -> None:
    content = made()
    addresses = {value for key, value in content.items() if key.endswith("Address")}
    assert addresses == {f"127.0.0.1:{port}" for port in (9997, 8554, 8888, 8889, 8189)}
    assert content["pathDefaults"] == {"recordDeleteAfter": "0s", "overridePublisher": False}
    assert "paths" not in content
    assert [content[key] for key in ("rtmp", "srt", "moq")] == [False] * 3


def test_who_may_do_what_by_default() -> None:
    assert users(made()) == [
        ("any", LOOPBACK, ["publish", "read"]),
        ("camera-agent", LOOPBACK, ["api", "read"]),
    ]


def test_with_a_read_user_everybody_needs_the_password() -> None:
    content = made(read_user="viewer", read_password="hunter2", listen="all", host="cam.example")
    assert users(content) == [
        ("any", LOOPBACK, ["publish"]),
        ("camera-agent", LOOPBACK, ["api", "read"]),
        ("viewer", [], ["read"]),
    ]
    assert (content["rtspAddress"], content["apiAddress"]) == (":8554", "127.0.0.1:9997")
    assert content["webrtcAdditionalHosts"] == ["cam.example"]


def test_no_password_is_in_the_file() -> None:
    text = json.dumps(made(read_user="viewer", read_password="hunter2"))
    assert "hunter2" not in text
    assert "generated" not in text
    # echo -n hunter2 | openssl dgst -binary -sha256 | openssl base64
    assert "sha256:9S+9MrKzuG/4jvbEkGKChfSCrxXdyylUH5S89Saj9sc=" in text


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ((1, 9, 0), {"protocols"}, {"rtspTransports", "moq"}),
        ((1, 11, 0), {"rtspTransports"}, {"protocols", "moq"}),
        ((1, 19, 0), {"rtspTransports", "moq"}, {"protocols"}),
    ],
)
def test_no_key_that_a_version_does_not_know(version: Version, present: set[str], absent: set[str]) -> None:
    keys = made(version).keys()
    assert present <= keys
    assert not absent & keys


def test_what_is_not_served_has_no_address() -> None:
    content = made(protocols=[])
    assert (content["hls"], content["webrtc"]) == (False, False)
    assert not {"hlsAddress", "webrtcAddress", "webrtcLocalUDPAddress"} & content.keys()


def test_ports_of_0_are_free_ones_and_differ() -> None:
    zero = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)
    ports = Ports.of(MediaServerConfig.model_validate({"mode": "managed", **zero}))
    tcp = (ports.api, ports.rtsp, ports.hls, ports.webrtc)
    assert len({*tcp}) == 4
    for port in tcp:
        assert port
        socket.create_server(("127.0.0.1", port)).close()
    assert ports.webrtc_udp
    assert ports.setting(ports.api) == "api_port"


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "all"},
        {"read_user": "viewer"},
        {"read_password": "x"},
        {"read_user": "viewer", "read_password": ""},
        {"read_user": "any", "read_password": "x"},
        {"read_user": "no: yaml", "read_password": "x"},
        {"program": ""},
        {"protocols": ["srt"]},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MediaServerConfig.model_validate({"mode": "managed", **settings})


def test_the_environment_configures_only_utc_and_hands_on_nothing_of_the_agents() -> None:
    ours = {
        "PATH": "/bin",
        "MTX_API": "no",
        "RTSP_ADDRESS": ":1",
        "CAMERA_AGENT__AUTH__X": "y",
        "NOTIFY_SOCKET": "@x",
        "TZ": "Europe/Berlin",
    }
    assert environment(ours) == {"PATH": "/bin", "TZ": "UTC"}


def test_words_for_others() -> None:
    said = "open /srv/x.mp4 from rtsp://u:p@ss@cam/1: no"
    assert without_addresses(said) == "open <address> from <address> no"
    assert without_credentials(said) == "open /srv/x.mp4 from rtsp://***@cam/1: no"
    asked = "dial rtsp://cam/user=a&password=s3cret&channel=1?token=t0k3n: no, compass=n"
    assert (
        without_credentials(asked) == "dial rtsp://cam/user=a&password=***&channel=1?token=*** no, compass=n"
    )
