"""Pages of plugins in a whole agent."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent_core.plugin import (
    AgentContext,
    InvalidState,
    Plugin,
    Settings,
    WebFiles,
    WebPart,
    WebRoutes,
    hookimpl,
)
from agent_core.testing import WebRoutesContract, running_agent

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "examples/hello_page"))
from hello_page import HelloPage  # noqa: E402

STATIC = ROOT / "examples/hello_page/hello_page/static"


class TestExample(WebRoutesContract):
    name = "hello_page"
    plugin = HelloPage
    routes = (("viewer", "/cameras"),)


def with_pages(*parts: WebPart) -> type[Plugin[Settings]]:
    class Paged(Plugin[Settings]):
        @hookimpl
        def agent_web_routes(self, agent: AgentContext) -> list[WebPart]:
            return [*parts]

    return Paged


async def whoami(request: Request) -> Response:
    return JSONResponse({"name": request.user.name, "role": request.user.role})


async def headstrong(request: Request) -> Response:
    headers = {"content-security-policy": "default-src *", "x-own": "kept"}
    return PlainTextResponse("mine", headers=headers)


async def known(request: Request) -> Response:
    raise InvalidState("It is closed.", state="closed", allowed_states=("open",))


def raising(error: BaseException) -> Callable[[Request], Response]:
    async def endpoint(request: Request) -> Response:
        raise error

    return endpoint  # type: ignore[return-value]  # Starlette takes both


ROUTES = WebRoutes(
    "operator",
    (
        Route("/whoami", whoami),
        Route("/headstrong", headstrong, methods=["POST"]),
        Route("/known", known),
        Route("/bug", raising(RuntimeError("secret words"))),
        Route("/exit", raising(SystemExit(1))),
    ),
)


async def test_routes_files_and_the_root() -> None:
    plugins = {"paged": with_pages(ROUTES, WebFiles(STATIC, claims_root=True))}
    async with (
        running_agent(plugins=plugins) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        operator = {"authorization": f"Bearer {agent.token('operator')}"}
        answer = await http.get("/plugins/paged/whoami", headers=operator)
        assert answer.json() == {"name": "test", "role": "operator"}
        assert (await http.get("/plugins/paged/whoami")).status_code == 401
        for place in ("", "/plugins/paged"):
            page = await http.get(f"{place}/")
            assert page.content == (STATIC / "index.html").read_bytes()
            assert "script-src 'self'" in page.headers["content-security-policy"]
            script = await http.get(f"{place}/page.js")
            again = await http.get(f"{place}/page.js", headers={"if-none-match": script.headers["etag"]})
            assert (script.status_code, again.status_code) == (200, 304)
            for path in (
                "/none.js",
                "/..%2findex.html",
                "/%2e%2e/%2e%2e/__init__.py",
                "/%00",
                "/" + "x" * 300,
            ):
                assert (await http.get(place + path)).status_code == 404, path
            assert (await http.post(f"{place}/page.js")).status_code == 405
        # The agent's own routes stay what they are.
        assert (await http.get("/healthz")).json() == {"status": "alive"}
        assert (await http.get("/files/snapshots/none.jpg")).status_code == 401
        assert (await http.get("/cameras/camera0/snapshot.jpg")).status_code == 401
        assert (await http.get("/plugins/other/")).status_code == 404


@pytest.mark.parametrize("plugins", [{}, {"paged": with_pages(WebFiles(STATIC, claims_root=True))}])
@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("POST", "/cameras/camera0/snapshot.jpg", 405, "wrong_method"),
        ("PUT", "/cameras/camera0/live.mjpeg", 405, "wrong_method"),
        ("GET", "/cameras/camera0/whep", 405, "wrong_method"),
        ("OPTIONS", "/cameras/camera0/whep", 405, "wrong_method"),
        ("POST", "/cameras/camera0/whep/x", 405, "wrong_method"),
        ("GET", "/cameras/camera0/none.jpg", 404, "view_not_found"),
        ("DELETE", "/cameras/", 404, "view_not_found"),
        ("GET", "/login", 405, "wrong_method"),
        ("POST", "/login", 415, "invalid_params"),
        ("DELETE", "/login", 401, "missing_credentials"),
    ],
)
async def test_the_agent_s_own_refusals_have_one_form(
    plugins: Mapping[str, type[Plugin[Settings]]], method: str, path: str, status: int, reason: str
) -> None:
    """A page at the root takes every address that the agent's own routes leave."""
    async with (
        running_agent(plugins=plugins) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert set(answer.json()) >= {"details", "suggestion"}
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert ("allow" in answer.headers) is (status == 405)


async def test_what_an_endpoint_does_harms_only_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        running_agent(plugins={"paged": with_pages(ROUTES)}) as agent,
        httpx.AsyncClient(base_url=f"{agent.http_url}/plugins/paged", timeout=30) as http,
    ):
        headers = {"authorization": f"Bearer {agent.token('operator')}"}
        answer = await http.post("/headstrong", headers=headers)
        assert (answer.text, answer.headers["x-own"]) == ("mine", "kept")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert (await http.get("/headstrong", headers=headers)).status_code == 405
        answer = await http.get("/known", headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (409, "closed")
        for path in ("/bug", "/exit"):
            answer = await http.get(path, headers=headers)
            assert answer.status_code == 500
            assert "secret words" not in answer.text
        assert "a page of the plugin paged failed" in caplog.text
        assert (await http.get("/whoami", headers=headers)).status_code == 200


async def test_without_a_plugin_there_is_no_page() -> None:
    async with running_agent() as agent, httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        for path in ("/", "/index.html", "/plugins/", "/plugins/hello_page/"):
            assert (await http.get(path)).status_code == 404


async def test_an_answer_ends_when_its_credentials_are_revoked() -> None:
    entered = anyio.Event()

    async def endless(request: Request) -> Response:
        entered.set()
        await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    plugins = {"paged": with_pages(WebRoutes("viewer", (Route("/endless", endless),)))}
    async with (
        running_agent(plugins=plugins) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        headers = {"authorization": f"Bearer {agent.token('viewer')}"}

        async def get() -> None:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await http.get("/plugins/paged/endless", headers=headers)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await entered.wait()
            (agent.folder / "state/secret").unlink()


async def test_an_answer_ends_with_its_credentials() -> None:
    entered, ended = anyio.Event(), anyio.Event()

    async def endless(request: Request) -> Response:
        entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError("it sleeps for ever")

    plugins = {"paged": with_pages(WebRoutes("viewer", (Route("/endless", endless),)))}
    async with (
        running_agent(plugins=plugins) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        headers = {"authorization": f"Bearer {agent.token('viewer', lifetime_s=8)}"}
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.get("/plugins/paged/endless", headers=headers)
        assert entered.is_set()
        with anyio.fail_after(30):
            await ended.wait()


async def test_a_folder_that_has_gone_takes_nothing_else_along(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    shutil.copytree(STATIC, folder)
    plugins = {"paged": with_pages(WebFiles(folder, claims_root=True))}
    async with (
        running_agent(plugins=plugins) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        shutil.rmtree(folder)
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/plugins/paged/page.js")).status_code == 404


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([WebRoutes("boss", (Route("/x", whoami),))], "wrong_page"),
        ([WebRoutes("viewer", (Route("/x", whoami), "no route"))], "wrong_page"),  # type: ignore[arg-type]
        ([WebFiles(ROOT / "docs")], "wrong_page"),
        ([WebFiles(STATIC, claims_root=True), WebFiles(STATIC, claims_root=True)], "name_clash"),
        (["no part"], "wrong_provider"),
    ],
)
async def test_unusable_pages_are_refused_with_a_reason(parts: list[WebPart], reason: str) -> None:
    async with running_agent(plugins={"paged": with_pages(*parts)}) as agent:
        (status,) = (await agent.parts.controller.server_info()).plugins
        assert (status.state, status.reason) == ("FAILED", reason), status


async def test_only_one_plugin_has_the_root() -> None:
    one, other = (with_pages(WebFiles(STATIC, claims_root=True)) for _ in range(2))
    async with running_agent(plugins={"one": one, "other": other}) as agent:
        states = {each.name: each for each in (await agent.parts.controller.server_info()).plugins}
        assert states["one"].state == "LOADED"
        assert states["other"].reason == "name_clash"
        assert "'one'" in states["other"].details
