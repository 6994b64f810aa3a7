from collections.abc import Awaitable, Callable

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.limits import FailureThrottle
from agent_core.auth.own import OwnPrincipals
from agent_core.auth.roles import Principal, Role
from agent_core.auth.stored_keys import API_KEY_PREFIX, MQTT_KEY_PREFIX
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.errors import AuthenticationFailed

__all__ = ("Authenticator",)


class Authenticator:
    """Checks tokens and API keys, and hides the reason from addresses that fail too often.

    Valid credentials are accepted from every address, however often others failed there; otherwise an attacker at a
    shared address (a proxy, a household, 127.0.0.1) could lock their owner out. This does not help an attacker: both
    kinds of credentials have 256 random bits, and verifying one costs no more than a small call.

    Args:
        tokens: judges tokens, from memory.
        keys: judges API keys, from memory.
        throttle: counts failures by address.
        own: the agent's own users, who cannot authenticate; their credentials are current.
        catch_up: has changed files of credentials read; see `CredentialFiles.catch_up`.
    """

    def __init__(
        self,
        tokens: TokenAuthority,
        keys: ApiKeys,
        throttle: FailureThrottle,
        *,
        own: OwnPrincipals,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._throttle = throttle
        self._own = own
        self._catch_up = catch_up

    async def catch_up(self) -> None:
        """Have changed files read, so that `is_current` and the check of a link know the latest changes."""
        await self._catch_up()

    async def authenticate(self, credentials: str, address: str) -> Principal:
        """Return the user of `credentials`, by the latest changes of the files.

        Raises:
            AuthenticationFailed: the credentials are invalid, revoked or have expired.
            RateLimited: the same, but `address` has failed too often to be told the reason.
        """
        await self._catch_up()
        try:
            return self._judge(credentials)
        except AuthenticationFailed:
            self._throttle.failed(address)
            raise

    async def require(self, credentials: str, address: str, role: str) -> Principal:
        """Check an HTTP request. Raises as `authenticate`, and PermissionDenied for a role below `role`."""
        principal = await self.authenticate(credentials, address)
        principal.role.require(Role(role))
        return principal

    def is_current(self, credential: str) -> bool:
        """Return True unless the credentials of a `Principal` have been revoked or changed; ignores their end."""
        return any(each.is_current(credential) for each in (self._keys, self._own, self._tokens))

    def _judge(self, credentials: str) -> Principal:
        if not credentials:
            raise AuthenticationFailed("The credentials are empty.", reason="missing_credentials")
        if credentials.startswith(API_KEY_PREFIX):
            return self._keys.verify(credentials)
        if credentials.startswith(MQTT_KEY_PREFIX):
            raise AuthenticationFailed(
                "This is a key for signed calls, which is never sent.",
                reason="wrong_key_kind",
                suggestion="Use a token or an API key; revoke this key, which others may have read.",
            )
        return self._tokens.verify(credentials)
