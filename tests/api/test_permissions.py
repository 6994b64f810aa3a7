"""The table of permissions, cell by cell: every method and route, for every role and for callers without one."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from agent_core.api.contract import core_methods
from agent_core.api.keys import key_methods
from agent_core.api.metrics import metrics_methods
from agent_core.api.views import view_link_methods
from agent_core.auth.roles import Role
from agent_core.rpc.table import MethodTable
from agent_core.testing import RunningAgent, running_agent
from tests.toy_server import Toy

_V, _O, _A = Role.VIEWER, Role.OPERATOR, Role.ADMIN
#: The contract: the lowest role that may call each method; None needs no authentication.
PERMISSIONS: Mapping[str, Role | None] = {
    "ping": None,
    "authenticate": None,
    "rpc.discover": None,
    "get_camera_list": _V,
    "get_camera_status": _V,
    "get_camera_capabilities": _V,
    "take_snapshot": _O,
    "get_picture": _V,
    "start_recording": _O,
    "stop_recording": _O,
    "list_recordings": _V,
    "list_snapshots": _V,
    "get_recording_info": _V,
    "get_snapshot_info": _V,
    "delete_recording": _A,
    "delete_snapshot": _A,
    "start_streaming": _O,
    "stop_streaming": _O,
    "get_stream_url": _V,
    "get_stream_status": _V,
    "get_streams": _V,
    "get_metrics": _A,
    "get_status": _A,
    "get_system_status": _V,
    "get_server_info": _V,
    "get_storage_info": _A,
    "set_camera_controls": _O,
    "list_api_keys": _A,
    "revoke_api_key": _A,
    "create_api_key": _A,
    "create_view_link": _O,
    "list_view_links": _A,
    "revoke_view_link": _A,
    "reload_configuration": _A,
    "set_retention_policy": _A,
    "cleanup_old_files": _A,
    "subscribe_events": _V,
    "unsubscribe_events": _V,
    "get_subscription_stats": _V,
    "discover_external_streams": _O,
    "add_external_stream": _O,
    "remove_external_stream": _O,
    "get_external_streams": _V,
    "set_discovery_interval": _A,
}
CALLERS: tuple[Role | None, ...] = (None, *Role)
#: Answers to a caller who may call the method: the parameter is refused, or the method is a placeholder.
PERMITTED = {-32602, -32030}
NOT_AUTHENTICATED, DENIED = -32001, -32002


def real_table() -> MethodTable:
    """Return the core's methods, which cannot do anything: the role and the parameters are checked before."""
    links = view_link_methods(None, None, None)  # type: ignore[arg-type]
    rows = (*key_methods(None, None, over_network=True), *links, *core_methods(None, None))  # type: ignore[arg-type]
    return MethodTable((*rows, *metrics_methods(None, None)))  # type: ignore[arg-type]


def expected(needed: Role | None, caller: Role | None) -> set[int]:
    if needed is None or (caller is not None and list(Role).index(caller) >= list(Role).index(needed)):
        return PERMITTED
    return {NOT_AUTHENTICATED} if caller is None else {DENIED}


def test_every_method_has_its_row_and_every_row_its_method(tmp_path: Path) -> None:
    toy = Toy(tmp_path, table=real_table())
    assert {method.name: method.role for method in toy.table} == PERMISSIONS


@pytest.mark.parametrize("caller", CALLERS, ids=lambda role: role or "unauthenticated")
async def test_every_cell_of_a_column(tmp_path: Path, caller: Role | None) -> None:
    toy = Toy(tmp_path, table=real_table())
    wrong: dict[str, object] = {}
    async with toy.peer() as peer:
        if caller is not None:
            await peer.result("authenticate", auth_token=toy.token(caller))
        for method in (each.name for each in toy.table):
            error = await peer.error(method, no_such_parameter=1)
            needed = PERMISSIONS[method]
            roles = (error["data"].get("required_role"), error["data"].get("have_role"))
            if error["code"] not in expected(needed, caller):
                wrong[method] = error
            if error["code"] == DENIED and roles != (needed, caller):
                wrong[method] = error
    assert not wrong


@pytest.fixture
async def agent() -> AsyncIterator[RunningAgent]:
    async with running_agent() as running:
        yield running


#: Status of each route for callers without a role, viewers, operators and admins; a file that does not exist is 404.
ROUTES: Mapping[str, tuple[int, int, int, int]] = {
    "/healthz": (200, 200, 200, 200),
    "/readyz": (200, 200, 200, 200),
    "/metrics": (401, 403, 403, 200),
    "/files/snapshots/none.jpg": (401, 404, 404, 404),
    "/files/recordings/none": (401, 404, 404, 404),
    "/files/other/none": (401, 404, 404, 404),
    "/cameras/camera9/snapshot.jpg": (401, 404, 404, 404),
    "/cameras/camera9/live.mjpeg": (401, 404, 404, 404),
}


async def test_the_routes_of_a_whole_agent(agent: RunningAgent) -> None:
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        for path, statuses in ROUTES.items():
            for caller, status in zip(CALLERS, statuses, strict=True):
                headers = {"Authorization": f"Bearer {agent.token(caller)}"} if caller else {}
                assert (await http.get(path, headers=headers)).status_code == status, (path, caller)


async def test_a_whole_agent_has_no_method_without_a_row(agent: RunningAgent) -> None:
    async with agent.client(None) as client:
        document = await client.call("rpc.discover")
    assert isinstance(document, dict)
    assert {method["name"] for method in document["methods"]} == set(PERMISSIONS) - {"create_api_key"}
