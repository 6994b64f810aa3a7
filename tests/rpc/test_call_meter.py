"""Calls are counted by method, with a bounded number of names."""

from agent_core.auth.roles import Role
from agent_core.rpc.call_meter import UNKNOWN
from tests.toy_server import Toy, until


async def test_answers_and_errors_are_counted_by_method(toy: Toy) -> None:
    async with toy.peer() as peer:
        await peer.error("echo", text="before authentication")
        await peer.result("authenticate", auth_token=toy.token(Role.VIEWER))
        await peer.result("echo", text="a")
        await peer.error("echo", no_such_parameter=1)
        await peer.error("wipe")
        await peer.error("bug")
    counted = {name: (each.calls, each.errors) for name, each in toy.sessions.calls.methods.items()}
    assert counted == {"authenticate": (1, 0), "bug": (1, 1), "echo": (3, 2), "wipe": (1, 1)}


async def test_any_number_of_names_that_do_not_exist_is_one_series(toy: Toy) -> None:
    async with toy.peer() as peer:
        for number in range(200):
            await peer.error(f"no_such_method_{number}")
        await peer.error('x"} 1\nforged{method="y')
    counted = toy.sessions.calls.methods
    assert set(counted) == {UNKNOWN}
    assert (counted[UNKNOWN].calls, counted[UNKNOWN].errors) == (201, 201)


async def test_the_time_of_a_call_is_that_until_its_answer(toy: Toy) -> None:
    async with toy.peer() as peer:
        await peer.result("authenticate", auth_token=toy.token(Role.OPERATOR))
        await peer.post(1, "wait")
        await until(lambda: toy.doors.entered == 1)
        await toy.clock.advance(2)
        toy.doors.open.set()
        await peer.receive()
    assert toy.sessions.calls.methods["wait"].total_s == 2.0


async def test_a_call_that_ends_with_its_connection_is_not_counted(toy: Toy) -> None:
    async with toy.peer() as peer:
        await peer.result("authenticate", auth_token=toy.token(Role.OPERATOR))
        await peer.post(1, "wait")
        await until(lambda: toy.doors.entered == 1)
    assert "wait" not in toy.sessions.calls.methods


async def test_each_call_of_a_batch_is_counted(toy: Toy) -> None:
    async with toy.peer() as peer:
        await peer.send([{"jsonrpc": "2.0", "id": number, "method": "whoami"} for number in range(5)])
        await peer.receive()
    assert toy.sessions.calls.methods["whoami"].calls == 5
