"""Sessions of clients that reach the agent through a plugin, such as a message broker, instead of its port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from agent_core.base.errors import AgentError

__all__ = ("CallSigner", "ClientSessions", "ClientStream", "PrincipalSource", "SignedCall", "VerifiedCall")


class ClientStream(Protocol):
    """Stream of whole JSON-RPC messages between the agent and one client, which a plugin implements. New in 1.4."""

    async def receive(self) -> str:
        """Return the client's next message. Raises anyio.EndOfStream if the client has left."""
        ...

    async def send(self, text: str) -> None:
        """Send a message; wait while the client reads too slowly. Raises anyio.BrokenResourceError if it has left."""
        ...


class PrincipalSource(Protocol):
    """User of a session, given by the agent: a plugin can pass it on, and cannot make one. New in 1.4.

    `user_id` names the user, and `credential` identifies the credentials; neither is secret. `role` is `viewer`,
    `operator` or `admin`.
    """

    @property
    def user_id(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def credential(self) -> str: ...


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


@dataclass(frozen=True, slots=True)
class VerifiedCall:
    """Call whose signature, times and nonce were accepted: who calls, and what signs the reply."""

    principal: PrincipalSource
    signer: CallSigner


class ClientSessions(Protocol):
    """Session logic of the agent's port, lent to plugins. Safe to call from any task of the agent's event loop."""

    async def serve(self, stream: ClientStream, principal: PrincipalSource, *, address: str) -> None:
        """Serve one client with the agent's methods, types, errors, limits and roles, until it leaves.

        The session's calls are cancelled with it. It ends, with its calls, when the credentials of `principal` are
        revoked, changed or expire; so do the streams that its calls have started. `authenticate` is refused.

        Args:
            stream: messages from and to the client.
            principal: user of all calls, as `own` or `verify` has given it.
            address: place of the client, for logs and limits: not a network address, but as `mqtt:CLIENT`.
        """
        ...

    def own(self, role: str) -> PrincipalSource:
        """Return the plugin itself as a user with `role`, for calls of its own. Its name is that of the plugin."""
        ...

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        """Check a call's key, signature, times and nonce, and keep the nonce on disk until the call's end.

        Args:
            call: the call.
            agent: id of this agent.
            trust_clock: accept calls that change something although the host does not say that its clock is synchronised.

        Raises:
            AuthenticationFailed: `reason` tells which check failed.
            DependencyFailed: the nonce could not be stored; the call must not run.
        """
        ...

    def error_reply(self, request: Mapping[str, JsonValue], error: AgentError) -> str:
        """Return the reply to a call that is refused, with the agent's codes."""
        ...
