"""Secrets of one agent process, looked for wherever they do not belong."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.auth.view_links import NewViewLink, ViewLinks
from agent_core.base.clock import SystemClock
from agent_core.client import AgentClient, CallFailed
from agent_core.testing.mediamtx import find_mediamtx
from tests.canary import CANARY, SECRET_IN_LOG
from tests.web.views.test_whep import OFFER, PATH

from .conftest import AgentProcess, AgentProcessFactory, descendants
from .media import EMBEDDED_CONFIG
from .server_rigs import MANAGED

PASSWORD = f"{CANARY}-password-8Qx"
USER = f'users = [{{ name = "someone", password = "{PASSWORD}", actions = ["read", "api"] }}]'
CONFIG = f"""
[logging]
level = "debug"
{EMBEDDED_CONFIG.replace("rtsp_port = 0", "rtsp_port = 0" + chr(10) + USER)}
"""


@dataclass(frozen=True)
class Planted:
    """The secrets of one agent, by what they are."""

    secret: str
    token: str
    key: str
    view: str
    password: str = PASSWORD

    def found_in(self, content: bytes) -> set[str]:
        """Return which of them `content` holds, as they are or in base64."""
        return {
            name
            for name, value in self.__dict__.items()
            if value.encode() in content or any(each in content for each in _in_base64(value))
        }


def _in_base64(value: str) -> Iterator[bytes]:
    """Yield what every base64 of a text with `value` in it contains, whatever precedes it."""
    for shift in range(3):
        yield base64.b64encode(bytes(shift) + value.encode())[4:-4]


def planted_in(folder: Path) -> Planted:
    state, clock = folder / "state", SystemClock()
    state.mkdir(parents=True, mode=0o700)
    secret = f"{CANARY}-{base64.b64encode(bytes(range(40))).decode()}"
    (state / "secret").write_text(secret + "\n")
    (state / "secret").chmod(0o600)
    tokens = TokenAuthority(Secret.load(state / "secret"), clock)
    key = ApiKeys(state / "api-keys.json", clock).create("robot", Role.OPERATOR)
    end = clock.now() + timedelta(days=1)
    view, _ = ViewLinks(state / "view-links.json", clock).create(NewViewLink(None, "someone", end))
    return Planted(secret, tokens.create("someone", Role.ADMIN, 600), key, view)


async def wrong_calls(socket: ClientConnection, planted: Planted) -> None:
    """Give the secrets where they do not belong, or not quite as they are; read the answers."""
    calls: list[dict[str, object]] = [
        {"method": "authenticate", "params": {"auth_token": planted.token[:-3] + "AAA"}},
        {"method": "authenticate", "params": {"auth_token": planted.key[:-1] + "_"}},
        {"method": "authenticate", "params": {"auth_token": [planted.token]}},
        {"method": "authenticate", "params": {"auth_tokn": planted.token}},
        {"method": "authenticate", "params": [planted.token, planted.key]},
        {"method": "get_camera_status", "params": {"device": planted.key}},
    ]
    for number, each in enumerate(calls):
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": number, **each}))
        await socket.recv()
    await socket.send(f'{{"jsonrpc": "2.0", "auth_token": "{planted.token}"')
    await socket.recv()


async def wrong_requests(agent: AgentProcess, planted: Planted) -> list[str]:
    """Return the answers, with their heads."""
    answers: list[httpx.Response] = []
    base = (await agent.url()).replace("ws:", "http:").removesuffix("/ws")
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        for headers in (
            {"Authorization": f"Bearer {planted.token}x"},
            {"Authorization": f"Token {planted.token}"},
            {"X-API-Key": planted.key[:-1] + "_"},
            {"Origin": f"http://{planted.key}.example"},
        ):
            answers.append(await http.get("/files/snapshots/none.jpg", headers=headers))
            await http.get(
                f"/files/snapshots/{planted.key}.jpg", headers=headers
            )  # its answer names what it asked for
        for place in ("snapshot.jpg", "live.mjpeg"):
            wrong = [{"view": each} for each in (planted.view[:-1], planted.view + "x", planted.key)]
            answers += [await http.get(f"/cameras/camera0/{place}", params=each) for each in wrong]
            answers.append(await http.get(f"/cameras/camera0/{place}", auth=("x", planted.key[:-1] + "_")))
            answers.append(await http.head(f"/cameras/camera0/{place}", auth=("x", planted.key)))
            answers.append(await http.get(f"/cameras/camera0/{place}?view={planted.view}&fps=-1"))
        for query in ({"token": planted.token}, {"expires": "9", "by": planted.key, "sig": planted.token}):
            answers.append(await http.get("/metrics", params=query))
            answers.append(await http.get("/files/recordings/x", params=query))
        answers.append(await http.get("/metrics", headers={"X-API-Key": planted.key}))
        answers.append(await http.get("/metrics", headers={"Authorization": f"Bearer {planted.token}"}))
    return [f"{each.headers}{each.text}" for each in answers]


async def ordinary_calls(client: AgentClient) -> None:
    """Use what works with the camera, the media server and the disk."""
    await client.call("subscribe_events", topics=["snapshot.taken", "recording.start", "camera.connected"])
    taken = await client.call("take_snapshot", device="camera0")
    assert isinstance(taken, dict)
    await client.download(taken["download_url"])
    await client.call("start_recording", device="camera0", wait=True)
    for method in (
        "get_status",
        "get_server_info",
        "get_streams",
        "list_recordings",
        "list_api_keys",
        "list_view_links",
    ):
        await client.call(method)
    for method in ("get_stream_status", "get_stream_url", "get_camera_status", "start_streaming"):
        await client.call(method, device="camera0")
    with pytest.raises(CallFailed):
        await client.call("revoke_api_key", id="0" * 16)


def of_processes(pids: set[int]) -> dict[str, bytes]:
    """Return the command lines and the environments of processes."""
    found: dict[str, bytes] = {}
    for pid in pids:
        for name in ("cmdline", "environ"):
            try:
                found[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
    return found


def of_files(folder: Path) -> dict[str, bytes]:
    """Return the files below `folder` that are not a secret's own."""
    own = {folder / "state/secret", folder / "config.toml"}
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path not in own}


async def test_no_secret_is_found_outside_its_own_file(
    agent_process: AgentProcessFactory, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    planted = planted_in(tmp_path / "agent")
    received: list[str] = []
    async with agent_process(CONFIG) as agent:
        url = await agent.url()
        async with AgentClient(url, planted.token, observe=received.append) as client:
            with anyio.fail_after(60):
                while (await client.call("get_system_status"))["discovery_active"]:
                    await anyio.sleep(0.02)
            await ordinary_calls(client)
            async with connect(url) as socket, AgentClient(url, planted.key, observe=received.append):
                await wrong_calls(socket, planted)
            received += await wrong_requests(agent, planted)
            programs = of_processes(descendants(agent.pid))
            programs["cmdline of the agent"] = Path(f"/proc/{agent.pid}/cmdline").read_bytes()
            await client.call("stop_recording", device="camera0")
        (agent.folder / "state/api-keys.json").write_text(f'{{"keys": ["{planted.key}"')
        (agent.folder / "state/revoked-tokens.json").write_text(f'{{"tokens": ["{planted.token}"')
        async with connect(url) as socket:
            await wrong_calls(socket, planted)
        await agent.end()
        (agent.folder / "state/api-keys.json").unlink()
        (agent.folder / "state/revoked-tokens.json").unlink()
        places = {**of_files(agent.folder), **programs, "received": "\n".join(received).encode()}
    assert "log" in places
    assert b"unusable" in places["log"], "the log is one of the places"
    assert any(name.startswith("cmdline of") for name in programs)
    assert {name: found for name, content in places.items() if (found := planted.found_in(content))} == {}
    assert SECRET_IN_LOG.search(places["log"].decode()) is None
    for text in received:
        observe(text)


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
async def test_the_name_of_a_webrtc_session_is_not_logged(agent_process: AgentProcessFactory) -> None:
    """Whoever knows it can end the session, and the agent's requests to the media server have it in their address."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    config = '[logging]\nlevel = "debug"\n' + MANAGED.format(program=program, media_server="")
    async with agent_process(config) as agent:
        base = (await agent.url()).replace("ws:", "http:").removesuffix("/ws")
        headers = {"authorization": f"Bearer {agent.token('viewer')}", "content-type": "application/sdp"}
        async with httpx.AsyncClient(base_url=base, timeout=30) as http:
            with anyio.fail_after(90):
                while (made := await http.post(PATH, content=OFFER, headers=headers)).status_code != 201:
                    await anyio.sleep(0.2)  # the media server starts
            session = made.headers["location"].partition("/")[2]
            assert (await http.delete(f"{PATH}/{session}", headers=headers)).status_code == 200
        await agent.end()
        log = of_files(agent.folder)["log"].decode()
    assert "media server" in log
    assert session not in log


def test_the_search_finds_what_it_looks_for() -> None:
    planted = Planted(f"{CANARY}-secret-1", "a.token.12345", "ck_key-123456", "view-12345678")
    assert planted.found_in(b"x" + planted.token.encode() + b"y") == {"token"}
    assert planted.found_in(base64.b64encode(f"someone:{PASSWORD}".encode())) == {"password"}
    assert planted.found_in(b"nothing") == set()
