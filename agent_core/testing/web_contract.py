"""Contract of pages that plugins add, as tests that a plugin author inherits."""

import re
from abc import ABC
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import anyio
import httpx
import pytest

from agent_core.plugin import Plugin, WebFiles
from agent_core.testing.agents import RunningAgent, running_agent
from agent_core.testing.context import FakeAgent
from agent_core.testing.contracts import responsive

__all__ = ("WebRoutesContract",)

_ROLES = ("viewer", "operator", "admin")
#: Text of a file that names another host, other than the names of XML's languages.
_ELSEWHERE = re.compile(r"""["'(]\s*(?:https?:)?//(?!www\.w3\.org/)""")
_TEXTS = {".css", ".html", ".js", ".mjs", ".svg"}


class _Html(HTMLParser):
    """Finder of what the agent's Content-Security-Policy forbids in a page, where browsers only log it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if (tag == "script" and "src" not in names) or tag in {"style", "base"}:
            self.faults.append(f"<{tag}> in the page itself")
        self.faults += [f"{each} of <{tag}>" for each in names if each.startswith("on") or each == "style"]
        self.faults += [
            f"javascript: in <{tag}>" for each in names.values() if (each or "").startswith("javascript:")
        ]


class WebRoutesContract(ABC):
    """Contract of a plugin with the hook `agent_web_routes`: inherit it and set the attributes. New in 1.4.

    Attributes:
        name: the plugin's name.
        plugin: the plugin's class.
        settings: its settings, as in the configuration.
        routes: role and path of each route that answers GET without parameters, such as `("viewer", "/state")`.
        blocking_limit_s: longest time for which an endpoint may block the event loop at once.
    """

    name: ClassVar[str]
    plugin: ClassVar[type[Plugin[Any]]]
    settings: ClassVar[dict[str, Any]] = {}
    routes: ClassVar[tuple[tuple[str, str], ...]] = ()
    blocking_limit_s = 1.0

    @asynccontextmanager
    async def _agent(self) -> AsyncIterator[tuple[RunningAgent, httpx.AsyncClient]]:
        config = {"plugins": {self.name: self.settings}} if self.settings else {}
        async with (
            running_agent(plugins={self.name: self.plugin}, config=config, settled=False) as agent,
            httpx.AsyncClient(base_url=f"{agent.http_url}/plugins/{self.name}", timeout=30) as http,
        ):
            yield agent, http

    def _folders(self, folder: Path) -> Iterator[Path]:
        made = self.plugin(self.plugin.Settings.model_validate(self.settings))
        parts: Any = made
        for each in parts.agent_web_routes(agent=FakeAgent(folder)) or ():
            if isinstance(each, WebFiles):
                yield each.folder

    def _files(self, folder: Path) -> Iterator[tuple[str, Path]]:
        for root in self._folders(folder):
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(root)), path

    @pytest.mark.anyio
    async def test_every_file_is_served_as_what_it_is(self, tmp_path: Path) -> None:
        async with self._agent() as (_, http):
            for name, path in self._files(tmp_path):
                answer = await http.get(f"/{name}")
                assert (answer.status_code, answer.content) == (200, path.read_bytes()), name
                assert answer.headers["x-content-type-options"] == "nosniff"
                kind = answer.headers["content-type"]
                assert path.suffix not in {".js", ".mjs"} or kind.startswith("text/javascript")
                assert path.suffix != ".html" or kind.startswith("text/html")

    @pytest.mark.anyio
    async def test_the_page_without_a_name_is_the_index(self, tmp_path: Path) -> None:
        async with self._agent() as (_, http):
            for root in self._folders(tmp_path):
                answer = await http.get("/")
                assert answer.content == (root / "index.html").read_bytes()
                assert "default-src 'none'" in answer.headers["content-security-policy"]
                bare = await http.get(str(http.base_url).rstrip("/"))
                assert (bare.status_code, bare.headers["location"]) == (307, f"{self.name}/")

    def test_no_page_has_what_its_policy_forbids(self, tmp_path: Path) -> None:
        for name, path in self._files(tmp_path):
            if path.suffix == ".html":
                page = _Html()
                page.feed(path.read_text())
                assert not page.faults, name

    def test_no_file_leads_to_another_host(self, tmp_path: Path) -> None:
        for name, path in self._files(tmp_path):
            if path.suffix in _TEXTS:
                found = _ELSEWHERE.search(path.read_text())
                assert found is None, f"{name}: {path.read_text()[found.start() : found.start() + 60]}"

    @pytest.mark.anyio
    async def test_a_route_is_for_its_role_and_those_above(self) -> None:
        async with self._agent() as (agent, http):
            for needed, path in self.routes:
                assert (await http.get(path)).status_code == 401, path
                for role in _ROLES:
                    headers = {"authorization": f"Bearer {agent.token(role)}"}
                    answer = await http.get(path, headers=headers)
                    is_allowed = _ROLES.index(role) >= _ROLES.index(needed)
                    assert (answer.status_code == 403) is not is_allowed, (path, role)
                    assert answer.status_code < 500, (path, answer.text)
                    assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    @pytest.mark.anyio
    async def test_pages_of_other_origins_reach_no_route(self) -> None:
        async with self._agent() as (agent, http):
            for _, path in self.routes:
                headers = {"authorization": f"Bearer {agent.token('admin')}", "sec-fetch-site": "cross-site"}
                assert (await http.get(path, headers=headers)).status_code == 403, path

    @pytest.mark.anyio
    async def test_no_route_blocks_the_event_loop(self) -> None:
        async with self._agent() as (agent, http):
            headers = {"authorization": f"Bearer {agent.token('admin')}"}
            with anyio.fail_after(60):
                async with responsive(self.blocking_limit_s):
                    for _, path in self.routes:
                        await http.get(path, headers=headers)
