"""Parameters that all notifications share, and those of notifications about the connection itself."""

from typing import Literal

from pydantic import Field

from agent_core.plugin.abc import RpcResult

__all__ = ("AuthExpired", "EventForm", "EventsDropped", "Loss")


class EventForm(RpcResult):
    """Base of the parameters of a notification."""

    sequence: int = Field(
        description="number of the event; each start of the agent counts from 1, over all topics"
    )


#: Cause of lost events.
Loss = Literal["slow_reader", "journal_overflow", "agent_restarted", "unknown_sequence"]


class EventsDropped(EventForm):
    """Params of `system.events_dropped`: events numbered above `after`, up to `sequence`, do not reach this client."""

    sequence: int = Field(description="number of the last lost event; all later ones follow")
    count: int = Field(
        description="events lost; from the journal, at most so many, as only their numbers are known"
    )
    reason: Loss = Field(
        description="slow_reader: the queue was full; journal_overflow: the journal no longer has them;"
        " agent_restarted, unknown_sequence: replay_since names another start, or a number not given yet,"
        " so the whole journal follows"
    )
    boot_id: str = Field(description="the start of the agent that the numbers belong to")
    after: int = Field(description="number of the last event before the lost ones")


class AuthExpired(EventForm):
    """Params of `system.auth_expired`, the last event until the connection authenticates again."""

    sequence: int = Field(description="number of the last event that was sent, or told as lost, before")
    details: str = "The credentials have expired; events and calls stop until authenticate is called again."
