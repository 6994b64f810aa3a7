"""The plugin's settings are validated, and its README describes them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.settings import ExternalDiscoverySettings

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_describes_each_setting() -> None:
    text = README.read_text()
    prefixed = (("", ExternalDiscoverySettings), ("discovery.", DiscoverySettings))
    for prefix, model in prefixed:
        for name, field in model.model_fields.items():
            row = f"| `{prefix}{name}` | {_shown(field.default)} | {field.description} |"
            assert name == "discovery" or row in text, row


def _shown(default: object) -> str:
    value = str(default).lower() if isinstance(default, bool) else default
    return f"`{value}`"


@pytest.mark.parametrize("network", ["192.0.2.1/24", "192.0.2.0/33", "camera.example", "0x7f000001"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValidationError):
        ExternalDiscoverySettings.model_validate({"allowed_networks": [network]})


@pytest.mark.parametrize(
    "stream",
    [
        {"user": "admin"},
        {"user": "admin", "password": ""},
        {"password": "secret"},
        {"url": "rtsp://admin:secret@192.0.2.1/", "user": "admin", "password": "secret"},
        {"url": "rtsp://admin@192.0.2.1/"},
        {"user": "admin", "password": "secret", "password_file": "/run/secret"},
    ],
)
def test_half_an_account_of_a_stream_is_refused(stream: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        ExternalDiscoverySettings.model_validate(
            {"streams": [{"url": "rtsp://192.0.2.1/", "name": "Gate", **stream}]}
        )
    assert "secret" not in str(refused.value)
