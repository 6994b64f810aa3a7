"""Verifier of signed calls: key, signature, times, the host's clock and the nonce, in this order."""

import hmac
import re
from collections.abc import Awaitable, Callable

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.nonces import UsedNonces
from agent_core.auth.roles import Principal, Role
from agent_core.auth.signed_calls import CallRefused, CallTimes, ReplySigner, SignedCall, call_signature
from agent_core.auth.stored_keys import ApiKey, KeyKind
from agent_core.base.clock import Clock
from agent_core.base.clock_sync import is_synchronised
from agent_core.base.errors import AgentError, AuthenticationFailed

__all__ = ("CallVerifier",)

#: Form of nonces: 128 random bits in hex digits or base64 are within it.
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


class CallVerifier:
    """Decides if a signed call may run, and sees to it that it runs once.

    A call costs one write to the disk, which calls that come at once share.

    Args:
        keys: has the keys of kind `mqtt`.
        nonces: the used ones.
        clock: judges the times of calls.
        catch_up: has changed files of credentials read; see `CredentialFiles.catch_up`.
        is_synchronised: returns True if the host says that its clock is synchronised.
    """

    def __init__(
        self,
        keys: ApiKeys,
        nonces: UsedNonces,
        clock: Clock,
        *,
        catch_up: Callable[[], Awaitable[None]],
        is_synchronised: Callable[[], bool] = is_synchronised,
    ) -> None:
        self._keys = keys
        self._nonces = nonces
        self._clock = clock
        self._catch_up = catch_up
        self._is_synchronised = is_synchronised
        #: Costs a call with an unknown key as much as one with a wrong signature.
        self._no_key = KeyKind.MQTT.new()

    async def verify(
        self, call: SignedCall, *, agent: str, needs: Role | None, trust_clock: bool = False
    ) -> tuple[Principal, ReplySigner]:
        """Return the user of a call, and what signs the reply; store the nonce until the call's end.

        Args:
            call: the call.
            agent: id of this agent.
            needs: the role that the called method needs; None for a public or an unknown one.
            trust_clock: accept calls that change something although the clock is not synchronised.

        Raises:
            CallRefused: the call must not run.
        """
        await self._catch_up()
        if call.agent != agent:
            raise CallRefused(AuthenticationFailed("The call is for another agent.", reason="foreign_agent"))
        key, signer = self._signed_by(call)
        try:
            times = CallTimes.of(call)
            self._check(call, key, times)
            if needs not in (None, Role.VIEWER) and not trust_clock and not self._is_synchronised():
                raise _clock_doubted()
            await self._nonces.use(key.id, call.nonce, times.expires_at)
            times.check(self._clock.now())  # the disk may have taken long
        except AgentError as error:
            repeated = error.reason == "call_repeated"
            raise CallRefused(error, None if repeated else signer) from error
        # Links to downloads would be good for all who read at the broker.
        return Principal(key.user_id, key.role, key.expires_at, key.credential, has_links=False), signer

    def _signed_by(self, call: SignedCall) -> tuple[ApiKey, ReplySigner]:
        """Return the key that has signed the call. Raises CallRefused without telling more if none has."""
        key = self._keys.signing(call.key_id)
        text = self._no_key if key is None or key.secret is None else key.secret
        try:
            right = call_signature(text, call)
        except AuthenticationFailed as error:
            raise CallRefused(error) from error
        same = hmac.compare_digest(right.encode(), call.signature.encode(errors="replace"))
        if key is None or not same:
            raise CallRefused(
                AuthenticationFailed(
                    "The key is unknown or the signature is wrong.",
                    reason="signature_invalid",
                    suggestion="Compare the call with the example in docs/mqtt-calls.md.",
                )
            )
        return key, ReplySigner(text, call.agent, call.nonce, call.correlation)

    def _check(self, call: SignedCall, key: ApiKey, times: CallTimes) -> None:
        now = self._clock.now()
        if key.expires_at is not None and key.expires_at <= now:
            raise AuthenticationFailed("This key has expired.", reason="api_key_expired")
        times.check(now)
        if not _NONCE.fullmatch(call.nonce):
            raise AuthenticationFailed(
                "The nonce is malformed.",
                reason="call_malformed",
                suggestion="Use 16 to 64 random letters, digits, `-` and `_`; 32 hex digits, for example.",
            )


def _clock_doubted() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The agent's host does not say that its clock is synchronised, and by a wrong clock an old call could look new: "
        "only calls for the role viewer are accepted.",
        reason="clock_unsynchronised",
        suggestion="Run `camera-agent doctor` on the host. If it finds the clock synchronised, the agent's service or container "
        "may not ask: allow it adjtimex and clock_adjtime, or set `commands.trust_clock` of the bridge.",
    )
