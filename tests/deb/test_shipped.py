"""Files of the package that are neither libraries nor generated: configuration, examples, and what the papers say of the unit."""

import re
from configparser import RawConfigParser
from pathlib import Path

import pytest

from agent_core.config import load_config

FOLDER = Path(__file__).parents[2] / "packaging/deb"
MAIN = FOLDER / "config.toml"
EXAMPLES = sorted((FOLDER / "examples/conf.d").glob("*.toml"))


def test_the_conffile_is_valid_and_has_no_virtual_camera() -> None:
    config = load_config([MAIN])
    assert "v4l2_tier" in config.plugins.enabled
    assert "virtual_camera" not in config.plugins.enabled
    assert config.storage.state_dir == Path("/var/lib/camera-agent/state")
    assert config.storage.runtime_dir == Path("/run/camera-agent")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_of_settings_is_valid_beside_the_conffile(path: Path) -> None:
    assert load_config([MAIN, path]) != load_config([MAIN])


def test_the_manual_page_of_the_service_says_what_the_unit_does() -> None:
    unit = RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((FOLDER / "debian/camera-agent.service").read_text())
    service = unit["Service"]
    page = (FOLDER / "man/camera-agent.service.8").read_text()
    for folder in service["ReadWritePaths"].split():
        assert re.search(rf"^\.I[R]? {re.escape(folder.lstrip('-'))}\b", page, re.MULTILINE), folder
    assert f".BR {service['User']} ,".replace("-", r"\-") in page
    assert f".BR {service['SupplementaryGroups']} ." in page
    assert (service["WatchdogSec"], "for a minute" in page) == ("60s", True)
    assert service["ExecStart"] == "/usr/bin/camera-agent run"
