"""Limit on what is on its way to the broker. Apart from the publisher, so that it is tested without a broker."""

import anyio

from mqtt_bridge.broker.part import BrokerLost

__all__ = ("FlowLimit",)


class FlowLimit:
    """Places for messages, given in the order in which they were asked for.

    Args:
        messages: number on their way at a time.
        size_bytes: their size at a time; a larger one goes alone.
    """

    def __init__(self, messages: int, size_bytes: int) -> None:
        self._messages = messages
        self._size_bytes = size_bytes
        self._taken = self._taken_bytes = 0
        self._turn = anyio.Lock()
        self._freed = anyio.Event()
        self._is_closed = False

    async def take(self, size_bytes: int) -> None:
        """Wait for a place. Raises BrokerLost once the limit is closed."""
        async with self._turn:
            while not self._is_closed and self._is_full(size_bytes):
                await self._freed.wait()
            if self._is_closed:
                raise BrokerLost
            self._taken += 1
            self._taken_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back a place of that size."""
        self._taken -= 1
        self._taken_bytes -= size_bytes
        self._wake()

    def close(self) -> None:
        """Refuse all who wait, and all who come later."""
        self._is_closed = True
        self._wake()

    def _is_full(self, size_bytes: int) -> bool:
        is_too_much = self._taken > 0 and self._taken_bytes + size_bytes > self._size_bytes
        return is_too_much or self._taken >= self._messages

    def _wake(self) -> None:
        self._freed.set()
        self._freed = anyio.Event()
