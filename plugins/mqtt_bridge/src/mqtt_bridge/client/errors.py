"""Errors between a program and the agents of a fleet.

* FleetError
  + BrokerUnreachable   no broker answers at the address
    - BrokerLost        the connection to it has ended
  + BrokerRefused       the broker refuses the credentials, or a subscription
  + CallFailed          the agent answered with an error
    - ClockRefused      the agent refuses the time of the call: one of both clocks is wrong
  + NoAnswer            no valid answer came in time
    - CallInterrupted   the connection ended while the call was running: it may or may not have taken effect
  + RequestUnusable     the call cannot be sent: too large, or without a canonical form
"""

from collections.abc import Mapping

from pydantic import JsonValue

from agent_core.plugin import AgentError

__all__ = (
    "BrokerLost",
    "BrokerRefused",
    "BrokerUnreachable",
    "CallFailed",
    "CallInterrupted",
    "ClockRefused",
    "FleetError",
    "NoAnswer",
    "RequestUnusable",
)


class FleetError(AgentError):
    """Root of the tree. `reason` is a stable word; `details` and `suggestion` are sentences for people."""

    default_suggestion = "See the broker's log for more."


class BrokerUnreachable(FleetError):
    default_reason = "broker_unreachable"
    default_suggestion = "Check that the broker runs, and that its address and port are correct."


class BrokerLost(BrokerUnreachable):
    default_reason = "broker_lost"
    default_suggestion = (
        "Wait for the broker, then query the state before you repeat a call that changes something."
    )


class BrokerRefused(FleetError):
    default_reason = "broker_refused"
    default_suggestion = "Check user, password and certificates, and the broker's access list."


class CallFailed(FleetError):
    """Error reply of an agent: `code`, `message` and `data` as on the wire."""

    def __init__(self, code: int, message: str, data: Mapping[str, JsonValue]) -> None:
        super().__init__(
            str(data.get("details") or message),
            reason=str(data.get("reason") or "error"),
            suggestion=str(data.get("suggestion") or "") or "See the agent's log for more.",
        )
        self.code = code
        self.message = message
        self.wire_data = data


class ClockRefused(CallFailed):
    """Refusal of the call's time of issue or end."""

    def __init__(self, code: int, message: str, data: Mapping[str, JsonValue]) -> None:
        super().__init__(code, message, data)
        self.suggestion = "Compare the clocks of this host and of the agent's (`timedatectl` shows if one is synchronised), then call again."


class NoAnswer(FleetError):
    """Missing answer. If the call reached the agent, it may have taken effect."""

    default_reason = "no_answer"
    default_suggestion = "Check that the agent runs, and that it has the key."


class CallInterrupted(NoAnswer):
    default_reason = "interrupted"
    default_suggestion = "Query the agent's state before you repeat a call that changes something."


class RequestUnusable(FleetError):
    default_reason = "request_unusable"
    default_suggestion = "Make the call's parameters smaller or simpler."
