"""The plugin's settings are validated, and its README describes them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from external_discovery.settings import ExternalDiscoverySettings

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_describes_each_setting() -> None:
    text = README.read_text()
    for name, field in ExternalDiscoverySettings.model_fields.items():
        assert f"| `{name}` |" in text, name
        assert f"| {field.description} |" in text, name


@pytest.mark.parametrize("network", ["192.0.2.1/24", "192.0.2.0/33", "camera.example", "0x7f000001"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValidationError):
        ExternalDiscoverySettings.model_validate({"allowed_networks": [network]})
