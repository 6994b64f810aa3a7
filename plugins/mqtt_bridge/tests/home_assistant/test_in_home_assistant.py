"""Descriptions in Home Assistant itself, in an environment of its own: `make home-assistant`."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .accepted import FACTS
from .described import described

ROOT = Path(__file__).parents[4]
INSIDE = Path(__file__).parent / "inside"

pytestmark = pytest.mark.release


@pytest.fixture(scope="module")
def python() -> Path:
    """Python that has Home Assistant."""
    found = ROOT / ".cache/homeassistant"
    if not (found / ".installed").exists():
        pytest.skip("Home Assistant is not installed: make home-assistant")
    return found / "bin/python"


def asked(python: Path, script: str, payloads: Mapping[str, Any]) -> Any:
    done = subprocess.run(
        [python, INSIDE / script],
        input=json.dumps(payloads),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_recorded_facts_are_those_of_home_assistant(python: Path) -> None:
    assert asked(python, "facts.py", {}) == FACTS


def test_its_schemas_accept_each_description(python: Path) -> None:
    assert asked(python, "validate.py", described()) == {}


def test_its_schemas_refuse_what_is_wrong(python: Path) -> None:
    topic, payload = next(iter(described().items()))
    faults = asked(python, "validate.py", {topic: {**payload, "device_class": "odd", "colour": "red"}})
    assert "device_class" in faults[topic]
