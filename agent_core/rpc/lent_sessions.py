"""Sessions as the agent lends them to plugins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from agent_core.auth.call_verifier import CallVerifier
from agent_core.auth.own import OwnPrincipals
from agent_core.auth.roles import Principal, Role
from agent_core.base.errors import AgentError, InvalidState, PluginError, Unsupported
from agent_core.plugin.sessions import ClientStream, PrincipalSource, SignedCall, VerifiedCall
from agent_core.rpc import protocol
from agent_core.rpc.errors import only_agent_error, wire_error
from agent_core.rpc.lent_stream import LentStream
from agent_core.rpc.sessions import Sessions

__all__ = ("LentSessions", "PluginSessions", "SessionLender", "refusal")


@dataclass(frozen=True, slots=True)
class SessionLender:
    """The parts of the agent that serve sessions of plugins. Without a `verifier`, there are no signed calls."""

    sessions: Sessions
    own: OwnPrincipals
    verifier: CallVerifier | None = None


class LentSessions:
    """Sessions for all plugins, which receive theirs before the parts that serve them exist."""

    def __init__(self) -> None:
        self._lender: SessionLender | None = None

    def open(self, lender: SessionLender) -> None:
        """Serve from `lender` from now on."""
        self._lender = lender

    def to(self, plugin: str) -> "PluginSessions":
        """Return the sessions of one plugin."""
        return PluginSessions(plugin, lambda: self._lender)


class PluginSessions:
    """`ClientSessions` of one plugin, whose name its own user bears.

    Args:
        plugin: name of the plugin.
        lender: returns the lender; None before the agent's parts are made.
    """

    def __init__(self, plugin: str, lender: Callable[[], SessionLender | None]) -> None:
        self._plugin = plugin
        self._lender = lender

    async def serve(self, stream: ClientStream, principal: PrincipalSource, *, address: str) -> None:
        """Serve one client until it leaves; see `ClientSessions.serve`."""
        sessions = self._require().sessions
        if not isinstance(principal, Principal):
            raise PluginError(
                f"The plugin '{self._plugin}' serves a session for a user that it has made itself.",
                reason="foreign_principal",
                suggestion="Pass on what own() or verify() returns.",
            )
        lent = LentStream(stream, lambda: sessions.max_message_bytes)
        try:
            await sessions.serve(lent, address, principal)
        except ExceptionGroup as group:
            known = only_agent_error(group)
            if known is None:
                raise
            raise known from group
        if lent.problem is not None:
            raise lent.problem

    def own(self, role: str) -> PrincipalSource:
        """Return the plugin itself as a user; see `ClientSessions.own`."""
        if role not in tuple(Role):
            raise PluginError(
                f"The plugin '{self._plugin}' asks for the role {role!r}, which does not exist.",
                reason="unknown_role",
                suggestion=f"Use one of {', '.join(Role)}.",
            )
        return self._require().own.of(self._plugin, Role(role))

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        """Check a signed call; see `ClientSessions.verify`."""
        lender = self._require()
        if lender.verifier is None:
            raise Unsupported(
                "This agent accepts no signed calls.",
                feature="signed_calls",
                suggestion="Call over the agent's WebSocket.",
            )
        needs = lender.sessions.role_of(call.request.get("method"))
        principal, signer = await lender.verifier.verify(
            call, agent=agent, needs=needs, trust_clock=trust_clock
        )
        return VerifiedCall(principal, signer)

    def error_reply(self, request: Mapping[str, JsonValue], error: AgentError) -> str:
        """Return the reply to a refused call; see `ClientSessions.error_reply`."""
        return refusal(request, error)

    def _require(self) -> SessionLender:
        lender = self._lender()
        if lender is None:
            raise InvalidState(
                "The agent is still starting.",
                state="starting",
                allowed_states=("running",),
                suggestion="Use sessions in a provider, not in a hook.",
            )
        return lender


def refusal(request: Mapping[str, JsonValue], error: AgentError) -> str:
    """Return the reply to a call that is refused; its id is null if the request has none that JSON-RPC allows."""
    found = request.get("id")
    known = found if isinstance(found, str | int) and not isinstance(found, bool) else None
    return protocol.error_reply(known, wire_error(error, ""))
