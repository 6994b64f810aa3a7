"""Sessions of clients that reach the agent through a plugin, such as a message broker, instead of its port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from agent_core.auth.signed_calls import CallRefused, CallSigner, SignedCall, call_signature, reply_signature
from agent_core.base.errors import AgentError

__all__ = (
    "CallRefused",
    "CallSigner",
    "ClientSessions",
    "ClientStream",
    "PrincipalSource",
    "SignedCall",
    "VerifiedCall",
    "call_signature",
    "reply_signature",
)


class ClientStream(Protocol):
    """Stream of whole JSON-RPC messages between the agent and one client, which a plugin implements. New in 1.4."""

    async def receive(self) -> str:
        """Return the client's next message. Never called twice at a time; cancelled at the end of the session.

        Raises:
            anyio.EndOfStream: the client has left.
        """
        ...

    async def send(self, text: str) -> None:
        """Send a message; wait while the client reads too slowly, which delays no other session.

        Never called twice at a time. Events that arrive meanwhile wait in a queue of `server.max_queued_events`, whose
        oldest ones are lost; the client is told by `system.events_dropped`.

        Raises:
            anyio.BrokenResourceError: the client has left.
        """
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
class VerifiedCall:
    """Call whose signature, times and nonce were accepted: who calls, and what signs the reply."""

    principal: PrincipalSource
    signer: CallSigner


class ClientSessions(Protocol):
    """Session logic of the agent's port, lent to plugins. New in 1.4.

    Safe to call from any task of the agent's event loop; not usable in a hook, where nothing runs yet.
    """

    async def serve(self, stream: ClientStream, principal: PrincipalSource, *, address: str) -> None:
        """Serve one client with the agent's methods, types, errors, limits and roles, until it leaves.

        The session ends with the client, with the credentials of `principal`, or when this call is cancelled. With it end
        its calls, its subscriptions, and the streams that `start_streaming` has started in it. `authenticate` is refused.

        Args:
            stream: messages from and to the client.
            principal: user of all calls, as `own` or `verify` has given it.
            address: place of the client, for logs and limits: not a network address, but as `mqtt:CLIENT`.

        Raises:
            AuthenticationFailed: the credentials of `principal` were revoked or changed, or have expired.
            AgentError: the stream has raised it; `message_too_large` for a message above `server.max_message_bytes`.
            PluginError: `principal` is not one that `own` or `verify` has returned.
        """
        ...

    def own(self, role: str) -> PrincipalSource:
        """Return the plugin itself as a user with `role`, for calls of its own.

        Its name is that of the plugin. It is valid until the agent ends. Its results and events contain no download links,
        which would be valid for all who read what the plugin passes on.
        """
        ...

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        """Check a call's key, signature, times and nonce, and keep the nonce on disk until the call's end.

        Args:
            call: the call.
            agent: id of this agent.
            trust_clock: accept calls that change something although the host does not say that its clock is synchronised.

        Raises:
            CallRefused: the call must not run; its `error` has the reason, and its `signer` signs the reply, if there
                may be one.
            Unsupported: the agent accepts no signed calls.
        """
        ...

    def error_reply(self, request: Mapping[str, JsonValue], error: AgentError) -> str:
        """Return the reply to a call that is refused, with the agent's codes and the id of `request`, or null."""
        ...
