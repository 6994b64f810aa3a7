"""The page on monitoring is true: its table is that of a running agent, and its configuration scrapes one."""

import re
import shutil
import sys
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_core.base.metrics import MetricRegistry
from agent_core.config import ServerConfig
from agent_core.testing import running_agent
from agent_core.testing.agents import RunningAgent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/monitoring.md").read_text()
SCRAPE, RULES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def rows(registry: MetricRegistry) -> list[str]:
    return sorted(
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.text} |"
        for each in registry
    )


def setting(name: str) -> str:
    """Return the value of a key of the example that occurs once."""
    (value,) = re.findall(rf"^\s*{name}: (\S+)$", SCRAPE, re.MULTILINE)
    return str(value)


async def test_the_table_is_that_of_a_running_agent() -> None:
    async with running_agent() as agent:
        assert re.findall(r"^\| `camera_agent_.*", PAGE, re.MULTILINE) == rows(agent.parts.metrics)


async def test_the_alerts_are_about_metrics_that_exist() -> None:
    async with running_agent() as agent:
        names = {each.name for each in agent.parts.metrics}
    used = set(re.findall(r"camera_agent_\w+", re.sub(r"^\s*- name:.*", "", RULES, flags=re.MULTILINE)))
    assert used
    assert used <= names


async def scraped(agent: RunningAgent) -> str:
    """Do what Prometheus does with the example; the key is made with the command of the page."""
    (command,) = re.findall(r"^    camera-agent (key create .*)$", PAGE, re.MULTILINE)
    config = agent.folder / "config.toml"
    config.write_text(f'[storage]\nstate_dir = "{agent.folder / "state"}"\n')
    words = [sys.executable, "-m", "agent_core", *command.split(), "--config", str(config)]
    made = await anyio.run_process(words, stderr=None)
    key = made.stdout.decode().strip()  # as in the credentials file
    headers = {"authorization": f"{setting('type')} {key}"}
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        with anyio.fail_after(20):
            while (
                answer := await http.get(setting("metrics_path"), headers=headers)
            ).status_code == 401:  # the agent looks at its keys a few times per second
                await anyio.sleep(0.05)
    assert answer.status_code == 200
    return answer.text


async def test_the_example_scrapes_an_agent_with_a_key_made_as_described() -> None:
    async with running_agent() as agent:
        families = {each.name: each for each in text_string_to_metric_families(await scraped(agent))}
    assert families["camera_agent_build_info"].samples[0].value == 1
    assert setting("credentials_file").startswith("/etc/prometheus/")
    (target,) = re.findall(r'targets: \["[\d.]+:(\d+)"\]', SCRAPE)
    assert int(target) == ServerConfig().port


async def test_promtool_accepts_the_example_the_alerts_and_the_metrics(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here: Debian's package prometheus has it")
    key, scrape, rules = tmp_path / "key", tmp_path / "prometheus.yml", tmp_path / "rules.yml"
    key.write_text("a key")
    scrape.write_text(SCRAPE.replace(setting("credentials_file"), str(key)))
    rules.write_text(RULES)
    await anyio.run_process([promtool, "check", "config", str(scrape)])
    await anyio.run_process([promtool, "check", "rules", str(rules)])
    async with running_agent() as agent:
        text = await scraped(agent)
    checked = await anyio.run_process([promtool, "check", "metrics"], input=text.encode(), check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")
