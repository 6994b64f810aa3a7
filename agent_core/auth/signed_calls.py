"""Signed calls: what the signature of a call and of its reply covers; see docs/mqtt-calls.md."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import rfc8785
from pydantic import JsonValue

from agent_core.base.errors import AgentError, AuthenticationFailed
from agent_core.base.moments import rfc3339

__all__ = (
    "CALL_LIFETIME_S",
    "LATEST_END_S",
    "CallRefused",
    "CallSigner",
    "CallTimes",
    "ReplySigner",
    "SignedCall",
    "call_signature",
    "canonical_call",
    "canonical_reply",
    "reply_signature",
)

#: Longest time between the issue and the end of a call.
CALL_LIFETIME_S = 30.0
#: Tolerated difference between the clocks of the client and of this host.
_CLOCK_SKEW_S = 5.0
#: Latest end of a call that is accepted now, from now on.
LATEST_END_S = CALL_LIFETIME_S + _CLOCK_SKEW_S
#: First members of what is signed, so that no signature of a call is one of a reply, or of anything later.
_CALL, _REPLY = "camera-agent mqtt call 1", "camera-agent mqtt reply 1"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """One JSON-RPC call as it came from a client, with what its signature covers. Nothing in it is checked yet.

    Attributes:
        agent: id of the agent that the client means, as the plugin knows the agent.
        client: the client's name for itself; sessions are kept by user and client.
        key_id: public name of the key that the client says it used.
        request: the JSON-RPC request, parsed.
        response_topic: place of the reply.
        correlation: bytes by which the client knows the reply.
        issued_at, expires_at: time of issue and end, RFC 3339 in UTC.
        nonce: random text that no other call of the key has.
        signature: HMAC-SHA-256 in hex digits; see docs/mqtt-calls.md.
    """

    agent: str
    client: str
    key_id: str
    request: Mapping[str, JsonValue]
    response_topic: str
    correlation: bytes
    issued_at: str
    expires_at: str
    nonce: str
    signature: str


class CallSigner(Protocol):
    """Signer of replies with the key of one call. New in 1.4."""

    def sign(self, reply: bytes) -> str:
        """Return the signature of a reply to the call, in hex digits; see docs/mqtt-calls.md."""
        ...


class CallRefused(Exception):
    """Call that must not run.

    Attributes:
        error: the reason, as the client may learn it.
        signer: signs the reply; None if there must be no reply, because the signature does not prove the sender, or
            the call was repeated and has its reply.
    """

    def __init__(self, error: AgentError, signer: CallSigner | None = None) -> None:
        super().__init__(error.details)
        self.error = error
        self.signer = signer


def canonical_call(call: SignedCall) -> bytes:
    """Return what a client signs: canonical JSON (RFC 8785).

    Raises:
        AuthenticationFailed: `call_malformed`: the request has a number or text that has no canonical form.
    """
    try:
        return rfc8785.dumps(
            {
                "purpose": _CALL,
                "agent": call.agent,
                "client": call.client,
                "key": call.key_id,
                "request": dict(call.request),
                "response_topic": call.response_topic,
                "correlation": call.correlation.hex(),
                "issued_at": call.issued_at,
                "expires_at": call.expires_at,
                "nonce": call.nonce,
            }
        )
    except (ValueError, RecursionError) as error:
        raise _malformed(
            "The request has no canonical form: an integer beyond 2^53, or text that is not Unicode."
        ) from error


def canonical_reply(*, agent: str, nonce: str, correlation: bytes, reply: bytes) -> bytes:
    """Return what the agent signs of a reply: canonical JSON (RFC 8785)."""
    return rfc8785.dumps(
        {
            "purpose": _REPLY,
            "agent": agent,
            "nonce": nonce,
            "correlation": correlation.hex(),
            "sha256": hashlib.sha256(reply).hexdigest(),
        }
    )


def call_signature(key: str, call: SignedCall) -> str:
    """Return the signature of a call with the text of a key, in hex digits; `call.signature` is ignored.

    Raises:
        AuthenticationFailed: as for `canonical_call`.
    """
    return _signature(key, canonical_call(call))


def reply_signature(key: str, *, agent: str, nonce: str, correlation: bytes, reply: bytes) -> str:
    """Return the signature of the reply to a call with `nonce` and `correlation`, in hex digits."""
    covered = canonical_reply(agent=agent, nonce=nonce, correlation=correlation, reply=reply)
    return _signature(key, covered)


@dataclass(frozen=True, slots=True)
class ReplySigner:
    """`CallSigner` of the replies to one call."""

    key: str = field(repr=False)
    agent: str
    nonce: str
    correlation: bytes

    def sign(self, reply: bytes) -> str:
        """Return the signature of a reply to the call, in hex digits."""
        return reply_signature(
            self.key, agent=self.agent, nonce=self.nonce, correlation=self.correlation, reply=reply
        )


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Time of issue and end of a call."""

    issued_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, call: SignedCall) -> "CallTimes":
        """Read the times of a call. Raises AuthenticationFailed: `call_malformed`."""
        return cls(_moment(call.issued_at), _moment(call.expires_at))

    def check(self, now: datetime) -> None:
        """Check the times at `now`.

        Raises:
            AuthenticationFailed: `call_lifetime`, `call_from_future` or `call_expired`.
        """
        if not timedelta() < self.expires_at - self.issued_at <= timedelta(seconds=CALL_LIFETIME_S):
            raise AuthenticationFailed(
                f"The call does not end within {CALL_LIFETIME_S:g} s of its issue.",
                reason="call_lifetime",
                suggestion=f"Let `expires_at` be at most {CALL_LIFETIME_S:g} s after `issued_at`.",
            )
        if self.issued_at > now + timedelta(seconds=_CLOCK_SKEW_S):
            raise _untimely("The call was issued in the future", "call_from_future", now)
        if self.expires_at <= now:
            raise _untimely("The call has expired", "call_expired", now)


def _signature(key: str, covered: bytes) -> str:
    return hmac.new(key.encode(), covered, hashlib.sha256).hexdigest()


def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:  # such as a 13th month
        pass
    raise _malformed("The call's times are not of the form 2026-11-22T17:03:54.120Z.")


def _malformed(details: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        details,
        reason="call_malformed",
        suggestion="Compare the call with the example in docs/mqtt-calls.md.",
    )


def _untimely(details: str, reason: str, now: datetime) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"{details}, by this agent's clock: {rfc3339(now)}.",
        reason=reason,
        suggestion="Compare the clocks of both hosts; sign the call anew for each attempt.",
    )
