"""Exchanges with the API, the same on the embedded server and on a real MediaMTX 1.20."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

EXCHANGES: dict[str, list[tuple[str, str, str | None, int, str]]] = json.loads(
    (Path(__file__).parent / "exchanges.json").read_text()
)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


def settled(text: str) -> str:
    """Return the text with equal times, and without the line end that some builds have in their version."""
    return TIME.sub("TIME", text).replace('\\n"', '"')


async def send(api: httpx.AsyncClient, method: str, path: str, body: str | None) -> httpx.Response:
    headers = {"Content-Type": "application/json"} if body else {}
    content = None if body is None else body.encode()
    request = api.build_request(method, path, content=content, headers=headers)
    # httpx would normalise the address, but the test is about the server's normalisation.
    request.url = httpx.URL(f"{api.base_url}").copy_with(raw_path=path.encode())
    return await api.send(request)


@pytest.mark.parametrize("group", EXCHANGES)
async def test_exchanges(api: httpx.AsyncClient, group: str) -> None:
    for method, path, body, status, text in EXCHANGES[group]:
        response = await send(api, method, path, body)
        with anyio.move_on_after(3):  # a change is answered before it is applied
            while method == "GET" and settled(response.text) != text:
                await anyio.sleep(0.01)
                response = await send(api, method, path, body)
        assert (response.status_code, settled(response.text)) == (status, text), f"{method} {path} {body}"
        assert response.headers.get("content-type", "") == content_type(status, text)


def content_type(status: int, text: str) -> str:
    if status == 301:
        return "text/html; charset=utf-8"
    if text.startswith("404 "):
        return "text/plain"
    return "application/json; charset=utf-8" if text else ""


async def get(api: httpx.AsyncClient, path: str) -> Any:
    response = await api.get(path)
    response.raise_for_status()
    return response.json()


async def until(api: httpx.AsyncClient, path: str, wanted: dict[str, Any]) -> Any:
    """Wait until the object at `path` has these values, and return it."""
    found: Any = None
    with anyio.move_on_after(5):
        while True:
            response = await api.get(path)
            found = response.json()
            if response.status_code == 200 and wanted.items() <= found.items():
                return found
            await anyio.sleep(0.01)
    pytest.fail(f"{path} does not become {wanted}: {found}")


DEFAULTS = (
    '{"name":"camera0","source":"publisher","sourceFingerprint":"","sourceOnDemand":false,'
    '"sourceOnDemandStartTimeout":"10s","sourceOnDemandCloseAfter":"10s","maxReaders":0,"srtReadPassphrase":"",'
)


async def test_a_configured_path_shows_every_option_in_order(server: Any, api: httpx.AsyncClient) -> None:
    record_path = f"{server.recordings}/%path/%s"
    await api.post(
        "/v3/config/paths/add/camera0", json={"recordPath": record_path, "runOnDemandCloseAfter": "5s"}
    )
    await until(api, "/v3/config/paths/get/camera0", {"recordPath": record_path})
    text = (await api.get("/v3/config/paths/get/camera0")).text
    assert text.startswith(DEFAULTS)
    assert text.endswith('"runOnRecordSegmentCreate":"","runOnRecordSegmentComplete":""}')
    found = json.loads(text)
    assert len(found) == 91
    keys = list(found)
    assert keys[keys.index("record") :][:7] == [
        "record",
        "recordPath",
        "recordFormat",
        "recordPartDuration",
        "recordMaxPartSize",
        "recordSegmentDuration",
        "recordDeleteAfter",
    ]


async def test_global_options_are_listed_in_order(server: Any, api: httpx.AsyncClient) -> None:
    found = await get(api, "/v3/config/global/get")
    keys = list(found)
    assert len(keys) == 120
    assert keys[:3] == ["logLevel", "logDestinations", "logStructured"]
    assert keys[keys.index("authMethod") + 1] == "authInternalUsers"
    assert found["rtspTransports"] == ["tcp"]
    actions = [user["permissions"][0]["action"] for user in found["authInternalUsers"]]
    # MediaMTX lets all processes of the host use its API.
    assert actions == (["publish"] if server.kind == "embedded" else ["publish", "api"])


@pytest.mark.parametrize(
    ("key", "given", "shown"),
    [
        ("recordSegmentDuration", "1h", "1h0m0s"),
        ("recordSegmentDuration", "90s", "1m30s"),
        ("recordDeleteAfter", "24h", "1d"),
        ("recordDeleteAfter", "26h", "1d2h0m0s"),
        ("recordDeleteAfter", "0s", ""),
        ("recordDeleteAfter", "", ""),
        ("recordPartDuration", "250ms", "250ms"),
        ("recordPartDuration", "1.5s", "1.5s"),
        ("runOnDemandCloseAfter", "0.0005s", "500µs"),
        ("recordMaxPartSize", "50MB", "50M"),
        ("recordMaxPartSize", "1536KiB", "1.5M"),
        ("recordMaxPartSize", "1024M", "1G"),
        ("runOnDemand", "a && b < c > d", "a && b < c > d"),
    ],
)
async def test_values_are_normalised(api: httpx.AsyncClient, key: str, given: str, shown: str) -> None:
    response = await api.post("/v3/config/paths/add/camera0", json={key: given})
    assert (response.status_code, response.text) == (200, '{"status":"ok"}')
    await until(api, "/v3/config/paths/get/camera0", {key: shown})


async def test_angle_brackets_and_ampersands_are_escaped_as_go_does(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/camera0", json={"runOnDemand": "<&>"})
    await until(api, "/v3/config/paths/get/camera0", {"runOnDemand": "<&>"})
    assert r'"runOnDemand":"\u003c\u0026\u003e"' in (await api.get("/v3/config/paths/get/camera0")).text


async def test_patch_merges_and_replace_does_not(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/camera0", json={"maxReaders": 3})
    await api.patch("/v3/config/paths/patch/camera0", json={"record": True})
    await until(api, "/v3/config/paths/get/camera0", {"maxReaders": 3, "record": True})
    await api.post("/v3/config/paths/replace/camera0", json={"record": True})
    await until(api, "/v3/config/paths/get/camera0", {"maxReaders": 0, "record": True})


async def test_a_listing_can_be_written_back(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/camera0", json={"maxReaders": 3})
    found = await until(api, "/v3/config/paths/get/camera0", {"maxReaders": 3})
    response = await api.post("/v3/config/paths/replace/camera1", json=found)
    assert response.status_code == 200, response.text
    assert await until(api, "/v3/config/paths/get/camera1", {"maxReaders": 3}) == {**found, "name": "camera1"}


async def test_defaults_reach_paths_that_do_not_override_them(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/own", json={"recordDeleteAfter": "3d"})
    await api.post("/v3/config/paths/add/plain", json={})
    await api.patch("/v3/config/pathdefaults/patch", json={"recordDeleteAfter": "2d"})
    await until(api, "/v3/config/pathdefaults/get", {"name": "", "recordDeleteAfter": "2d"})
    await until(api, "/v3/config/paths/get/plain", {"recordDeleteAfter": "2d"})
    await until(api, "/v3/config/paths/get/own", {"recordDeleteAfter": "3d"})


async def test_a_change_is_visible_to_the_next_change(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await api.post("/v3/config/paths/add/camera0", json={})).status_code == 200
        assert (await api.post("/v3/config/paths/add/camera0", json={})).status_code == 400
        assert (await api.patch("/v3/config/paths/patch/camera0", json={"record": True})).status_code == 200
        assert (await api.delete("/v3/config/paths/delete/camera0")).status_code == 200


async def test_a_rule_broken_by_another_path_refuses_a_change_of_the_defaults(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/camera0", json={"recordDeleteAfter": "1h"})
    response = await api.patch("/v3/config/pathdefaults/patch", json={"recordSegmentDuration": "2h"})
    assert response.status_code == 400
    assert response.json()["error"] == "'recordDeleteAfter' cannot be lower than 'recordSegmentDuration'"
    await until(api, "/v3/config/pathdefaults/get", {"recordSegmentDuration": "1h0m0s"})


@pytest.mark.parametrize("kind", [pytest.param("real", marks=pytest.mark.real_mediamtx)], indirect=True)
async def test_a_preflight_is_answered_before_anything_else(api: httpx.AsyncClient) -> None:
    """MediaMTX only: the embedded server refuses web pages (test_strangers.py)."""
    response = await api.options("/v3/nothing", headers={"Access-Control-Request-Method": "GET"})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-methods"] == "OPTIONS, GET, POST, PATCH, DELETE"
    assert response.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["server"] == "mediamtx"


async def test_a_new_log_level_closes_the_connection_after_the_answer(api: httpx.AsyncClient) -> None:
    await api.post("/v3/config/paths/add/camera0", json={})
    response = await api.patch("/v3/config/global/patch", json={"logLevel": "error"})
    assert response.text == '{"status":"ok"}'
    with anyio.fail_after(20):
        while True:
            try:
                await until(api, "/v3/config/global/get", {"logLevel": "error"})
            except httpx.TransportError:
                continue
            break
    await until(api, "/v3/paths/get/camera0", {"name": "camera0"})


USERS = [
    {
        "user": "adm",
        "pass": "s3",
        "permissions": [{"action": "api"}, {"action": "publish"}, {"action": "read"}],
    },
    {
        "user": "view",
        "pass": "v",
        "ips": ["127.0.0.1"],
        "permissions": [{"action": "read", "path": "camera0"}],
    },
]


async def test_users(server: Any, api: httpx.AsyncClient) -> None:
    assert (await api.patch("/v3/config/global/patch", json={"authInternalUsers": USERS})).status_code == 200
    async with httpx.AsyncClient(base_url=server.open_url, timeout=15) as stranger:
        await _asked_for_a_password(stranger)


async def _asked_for_a_password(api: httpx.AsyncClient) -> None:
    with anyio.fail_after(20):
        while (refused := await api.get("/v3/paths/list")).status_code == 200:
            await anyio.sleep(0.01)
    assert (refused.status_code, refused.text) == (401, '{"status":"error","error":"authentication error"}')
    assert refused.headers["www-authenticate"] == 'Basic realm="mediamtx"'
    assert (await api.get("/v3/nothing")).status_code == 401
    wrong = await api.get("/v3/paths/list", auth=("adm", "wrong"))
    assert (wrong.status_code, wrong.text) == (401, '{"status":"error","error":"authentication error"}')
    assert "www-authenticate" not in wrong.headers
    assert (await api.get("/v3/paths/list", auth=("view", "v"))).status_code == 401
    assert (await api.get("/v3/paths/list", headers={"Authorization": "Bearer adm:s3"})).status_code == 200
    found = (await api.get("/v3/config/global/get", auth=("adm", "s3"))).json()["authInternalUsers"]
    assert [(user["user"], user["pass"], user["ips"]) for user in found] == [
        ("adm", "<redacted>", None),
        ("view", "<redacted>", ["127.0.0.1/32"]),
    ]
    assert found[1]["permissions"] == [{"action": "read", "path": "camera0"}]


async def test_a_request_that_is_not_http_is_refused(api: httpx.AsyncClient) -> None:
    url = api.base_url
    async with await anyio.connect_tcp(url.host, url.port or 80) as raw:
        await raw.send(b"garbage\r\n\r\n")
        answer = b""
        with anyio.fail_after(20):
            while b"400 Bad Request\r\n" not in answer or not answer.endswith(b"400 Bad Request"):
                answer += await raw.receive()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in answer
