"""Broker as a process, to be killed and started again on the same port."""

import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from anyio.abc import Process

from agent_core.plugin.processes import child
from agent_core.testing.waiting import eventually

__all__ = ("BrokerProcess",)


@dataclass
class BrokerProcess:
    """Broker that listens on one port.

    Attributes:
        words: its command.
        port: its port, the same after each start.
        host: address that it listens on.
    """

    words: Sequence[str]
    port: int
    host: str = "127.0.0.1"
    process: Process | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"

    async def start(self) -> None:
        self.process = await self._stack.enter_async_context(
            child(self.words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        await eventually(self._listens)

    async def kill(self) -> None:
        """Kill it, as a power cut does."""
        self.signal(signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        await self._stack.aclose()
        self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP for a broker that hangs."""
        assert self.process is not None
        self.process.send_signal(number)

    async def _listens(self) -> bool:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as tried:
            return tried.connect_ex((self.host, self.port)) == 0
