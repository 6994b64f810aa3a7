"""Sessions of a server.

A module of its own: the server serves connections by it, and methods count subscriptions by it.
"""

import anyio

from agent_core.auth.roles import Principal, Role
from agent_core.base.metrics import MetricRegistry
from agent_core.rpc.call_meter import CallMeter
from agent_core.rpc.journal import EventJournal
from agent_core.rpc.message_stream import MessageStream
from agent_core.rpc.session import Session, SharedParts

__all__ = ("Sessions",)


class Sessions:
    """Registry of open sessions; `len` is the number of those on the port, and `lent` of those that plugins serve."""

    def __init__(self, parts: SharedParts) -> None:
        self._parts = parts
        self._open: set[Session] = set()

    def __len__(self) -> int:
        return sum(1 for session in self._open if not session.is_lent)

    @property
    def lent(self) -> int:
        """The number of open sessions that plugins serve."""
        return len(self._open) - len(self)

    @property
    def max_message_bytes(self) -> int:
        """Limit of one message of a session that a plugin serves."""
        return self._parts.max_message_bytes

    def role_of(self, method: object) -> Role | None:
        """Return the role that a method needs; None for a public one, and for all that is none."""
        return self._parts.table.role_of(method) if isinstance(method, str) else None

    def configure(
        self, *, max_calls: int, max_queued_events: int, max_message_bytes: int, event_journal_bytes: int
    ) -> None:
        """Apply other limits: to calls and the journal at once, to the queues of sessions that begin from now on."""
        self._parts.max_calls = max_calls
        self._parts.max_message_bytes = max_message_bytes
        self._parts.events.capacity = max_queued_events
        self._parts.events.journal.configure(event_journal_bytes)

    @property
    def calls(self) -> CallMeter:
        """The meter of all sessions' calls."""
        return self._parts.calls

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the open connections and their calls."""
        registry.gauge("camera_agent_connections", "Open WebSocket connections.", lambda: len(self))
        registry.gauge(
            "camera_agent_lent_sessions",
            "Sessions that plugins serve: of clients that come through them, and of their own.",
            lambda: self.lent,
        )
        self.calls.add_metrics(registry)
        self.journal.add_metrics(registry)

    @property
    def journal(self) -> EventJournal:
        """The journal of events, from which any session may get a replay."""
        return self._parts.events.journal

    async def run(self) -> None:
        """Send events and fill the journal; until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._parts.courier.run)
            tasks.start_soon(self.journal.run)

    async def serve(self, stream: MessageStream, address: str, user: Principal | None = None) -> None:
        """Serve one peer until it leaves; its running calls are cancelled then.

        With a `user`, all calls are that user's, and the session ends with the user's credentials.

        Raises:
            AuthenticationFailed: the user's credentials were revoked before.
        """
        session = Session(self._parts, stream, address, user)
        self._open.add(session)
        try:
            await session.run()
        finally:
            self._open.discard(session)

    def active_clients(self) -> int:
        """Return the number of sessions with at least one subscription, those that plugins serve included."""
        return sum(1 for session in self._open if session.topics)

    def topic_counts(self) -> dict[str, int]:
        """Return the number of subscribed sessions by the name of the topic that they used."""
        counts: dict[str, int] = {}
        for session in self._open:
            for topic in session.topics:
                counts[topic] = counts.get(topic, 0) + 1
        return counts
