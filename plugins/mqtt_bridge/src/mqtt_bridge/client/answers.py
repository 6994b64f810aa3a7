"""Answers of agents, and the errors that stand for missing ones. Apart from the client, so that it is one page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import JsonValue

from mqtt_bridge.client.agents import FleetAgent
from mqtt_bridge.client.errors import FleetError, NoAnswer
from mqtt_bridge.client.pending import PendingCall

__all__ = ("Answer", "answer_of", "unanswered")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of one agent to a call of many.

    Attributes:
        agent: id of the agent.
        result: result as plain JSON values; None for an error.
        error: reason why there is no result; None if there is one.
    """

    agent: str
    result: JsonValue = None
    error: FleetError | None = None


async def answer_of(agent: FleetAgent, work: Callable[[FleetAgent], Awaitable[JsonValue]]) -> Answer:
    """Return the result of `work`, or the FleetError that it raises; an agent that is known to be offline is not asked."""
    try:
        if not agent.is_online:
            raise NoAnswer(
                f"The agent {agent.id} is offline.",
                reason="offline",
                suggestion="Check that its host runs, and its connection to the broker.",
            )
        if not agent.limits.calls:
            raise NoAnswer(
                f"The agent {agent.id} takes no calls.",
                reason="calls_off",
                suggestion="Set commands.enabled in its [plugins.mqtt_bridge].",
            )
        return Answer(agent.id, await work(agent))
    except FleetError as error:
        return Answer(agent.id, error=error)


def unanswered(agent: str, method: str, limit_s: float, pending: PendingCall | None) -> NoAnswer:
    """Return the error for a call without a valid answer within `limit_s`; `pending` is None if it was not sent."""
    if pending is None:
        return NoAnswer(
            f"The call of {method} was not sent: the broker was not connected within {limit_s:g} s.",
            reason="broker_lost",
            suggestion="Check that the broker runs.",
        )
    if pending.forged:
        return NoAnswer(
            f"Of the agent {agent} came no valid answer to {method} within {limit_s:g} s, and {pending.forged} without a valid signature.",
            reason="forged",
            suggestion="Check that the key is this agent's, and that no other client of the broker may publish replies.",
        )
    return NoAnswer(
        f"The agent {agent} did not answer {method} within {limit_s:g} s.",
        suggestion="Check that the agent has the key, and that its clock is right; its log tells of refused calls.",
    )
