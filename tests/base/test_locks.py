"""One lock a key."""

import anyio

from agent_core.base.locks import KeyedLock


async def test_one_key_is_serial_and_keys_are_independent() -> None:
    locks = KeyedLock()
    inside: list[str] = []

    async def work(key: str) -> None:
        async with locks.hold(key):
            assert key not in inside
            inside.append(key)
            await anyio.wait_all_tasks_blocked()
            inside.remove(key)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            for key in ("a", "a", "b"):
                tg.start_soon(work, key)
    assert len(locks) == 0


async def test_a_cancelled_holder_and_a_cancelled_waiter_leave_nothing() -> None:
    locks = KeyedLock()
    async with anyio.create_task_group() as tg:
        for _ in range(3):
            tg.start_soon(_hold_for_ever, locks)
        await anyio.wait_all_tasks_blocked()
        assert len(locks) == 1
        tg.cancel_scope.cancel()
    assert len(locks) == 0


async def _hold_for_ever(locks: KeyedLock) -> None:
    async with locks.hold("a"):
        await anyio.sleep_forever()
