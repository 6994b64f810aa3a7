"""Settings that are hot, and the health of the agent with its events, in Chromium."""

from pathlib import Path

import anyio
import pytest

from agent_core.client import AgentClient
from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    CameraReport,
    CameraSource,
    DetectedCamera,
    Fingerprint,
    Plugin,
    Settings,
    Started,
    hookimpl,
)
from agent_core.testing import RunningAgent
from plugins.web_console.tests.rig import (
    EMBEDDED,
    EVIL,
    MOVING,
    RED,
    Browser,
    box,
    browser,
    login_link,
    painted,
)

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

TOLD = "agent-settings > [role=status]"
#: Matches a forecast.
FULL_IN = r"/Disk full in\n(?!not)\S/"
FACTS = "agent-health .facts"


def field(name: str) -> str:
    return f"document.querySelector('#{name}').value"


async def open_settings(page: Browser, agent: RunningAgent, policy: str = "No policy was set") -> None:
    await page("open", url=login_link(agent))
    await page("click", selector="nav a[href='#/settings']")
    await page("wait", selector="agent-settings p", text=policy)


async def test_a_policy_is_set_refused_in_the_agents_words_and_read_back(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await open_settings(page, agent)
        assert await page("run", script=f"[{field('policy')}, {field('days')}]") == ["manual", ""]

        await page("choose", selector="#policy", value="age")
        await page("click", selector="#enabled")
        await page("click", selector="form[aria-label=Deletion] button")
        await page("wait", selector=f"{TOLD} .problem", text="needs max_age_days")
        await page("fill", selector="#days", value="-3")
        await page("click", selector="form[aria-label=Deletion] button")
        await page("wait", selector=f"{TOLD} .problem", text="Add max_age_days", state="detached")
        await page("wait", selector=f"{TOLD} .problem", text="max_age_days")
        assert await page("axe") == []

        await page("fill", selector="#days", value="12.5")
        await page("click", selector="form[aria-label=Deletion] button")
        await page("wait", selector=TOLD, text="Saved.")
        await page("wait", selector="agent-settings p", text="older than 12.5 days")
        async with agent.client("admin") as client:
            kept = (await client.call("get_storage_info"))["retention"]
        assert (kept["policy_type"], kept["enabled"], kept["max_age_days"]) == ("age", True, 12.5)
        await page("click", selector="nav a[href='#/cameras']")
        await page("wait", selector="camera-tiles")
        await page("click", selector="nav a[href='#/settings']")
        await page("wait", selector="agent-settings p", text="older than 12.5 days")
        assert await page("run", script=f"[{field('policy')}, {field('days')}]") == ["age", "12.5"]
        assert await page.faults() == []


async def test_files_are_deleted_and_searches_and_the_configuration_are_set_at_once(tmp_path: Path) -> None:
    plugins = {"enabled": ["external_discovery"]}
    async with box([painted(tmp_path, "Red", RED)], plugins=plugins) as agent, browser(tmp_path) as page:
        async with agent.client("admin") as client:
            await client.call("set_retention_policy", policy_type="age", max_age_days=12.5, enabled=True)
        await open_settings(page, agent, "older than 12.5 days")
        await page("click", selector="button >> text=Delete now")
        await page("wait", selector="dialog", text="cannot be undone")
        await page("click", selector="dialog button.danger")
        await page("wait", selector=TOLD, text="0 files were deleted")
        await page("fill", selector="#interval", value="99999999")
        await page("press", key="Enter")
        await page("wait", selector=f"{TOLD} .problem", text="scan_interval")
        await page("fill", selector="#interval", value="3600")
        await page("press", key="Enter")
        await page("wait", selector=TOLD, text="The networks are searched every 3600 s.")
        await page("click", selector="button >> text=Read the configuration again")
        await page("wait", selector=TOLD, text="Nothing has changed.")
        assert await page.faults() == []


class Shy(CameraSource):
    """Source of a camera that fails for a reason that a page could take for HTML."""

    name = "shy"

    def __init__(self) -> None:
        self.fail = anyio.Event()

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        report.connected(DetectedCamera("a", EVIL, Fingerprint(self.name, serial="1"), None))
        task_status.started()
        await self.fail.wait()
        report.failed("a", f"It is shy: {EVIL}.")
        await anyio.sleep_forever()


class Broken(Plugin[Settings]):
    """Plugin that is not loaded, for a reason that a page could take for HTML."""

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        raise RuntimeError(EVIL)


async def test_health_shows_numbers_and_events_as_they_come(tmp_path: Path) -> None:
    async with (
        box([MOVING], plugins=EMBEDDED) as agent,
        browser(tmp_path) as page,
        agent.client("admin") as client,
    ):
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/health']")
        await page("wait", selector=FACTS, text="nothing is recorded")
        await page("wait", selector=FACTS, text="closed (normal), opened 0 times")
        await page("wait", selector="[aria-label=Checks] td")
        # A check of the agent's own may have changed since.
        told = await page("texts", selector=".events li")
        assert [each for each in told if " Health " not in each] in (
            ["No event since this page was opened."],
            [],
        )
        with anyio.fail_after(60):
            while not (await client.call("get_camera_list"))["cameras"][0]["served"]:
                await anyio.sleep(0.1)
        await client.call("start_recording", device="camera0", wait=True)
        await page("wait", selector=".events li", text="camera0 · RECORDING")
        await page("wait", selector=".events li", text="camera0 · STARTED")
        await page("until", script=f"{FULL_IN}.test(document.querySelector('.facts').innerText)")
        assert await page("axe") == []
        await client.call("stop_recording", device="camera0")
        await page("wait", selector=".events li", text="camera0 · STOPPED")

        for _ in range(2):
            taken = await client.call("take_snapshot", device="camera0", max_age_ms=0)
            await page("wait", selector=".events li", text=taken["filename"])
        newest = (await page("texts", selector=".events li"))[0]
        assert taken["filename"] in newest, "the newest event is the first"
        await shows_tiers(page, client)
        assert await page.faults() == []


async def shows_tiers(page: Browser, client: AgentClient) -> None:
    """Wait until the page shows the numbers of the tier that took the snapshots."""
    tiers = (await client.call("get_metrics"))["snapshot_metrics"]["tiers"]
    (used,) = [each for each in tiers if each["count"]]
    times = "".join(f"\t{round(used[each])} ms" for each in ("p50_ms", "p95_ms"))
    row = f"{used['rank']} {used['name']}\t{used['count']}\t{used['attempts']}{times}"
    shown = (
        "[...document.querySelectorAll(\"[aria-label='Snapshot tiers'] tbody tr\")].map((e) => e.innerText)"
    )
    await page("until", script=f"{shown}.includes({row!r})")


async def test_reasons_of_cameras_and_plugins_are_told_as_text(tmp_path: Path) -> None:
    source = Shy()

    class ShyPlugin(Plugin[Settings]):
        @hookimpl
        def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
            return [source]

    others = {"shy": ShyPlugin, "broken": Broken}
    async with box([MOVING], others=others) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/health']")
        await page("wait", selector=FACTS, text="nothing is recorded")
        source.fail.set()
        await page("wait", selector=".events li", text=EVIL)
        await page("wait", selector="[aria-label=Plugins] tr", text=EVIL)
        assert await page("axe") == []
        await page("run", script="location.hash = '#/cameras'")
        await page("wait", selector="camera-tile", text=EVIL)
        assert await page("run", script="document.title.startsWith('Cameras')")
        assert await page.faults() == []
