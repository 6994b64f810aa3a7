from agent_core.auth.api_keys import API_KEY_PREFIX, ApiKeys
from agent_core.auth.limits import FailureThrottle
from agent_core.auth.roles import Principal, Role
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.errors import AuthenticationFailed

__all__ = ("Authenticator",)


class Authenticator:
    """Judges credentials, a token or an API key, and stops answering addresses that fail too often.

    Valid credentials are accepted from every address, however often others failed there: an attacker who shares it
    (a proxy, a household, 127.0.0.1) could lock their owner out otherwise. It gains nothing by that. Both kinds of
    credentials have 256 random bits, so there is nothing to guess, and verifying one costs as much as any small call.
    """

    def __init__(self, tokens: TokenAuthority, keys: ApiKeys, throttle: FailureThrottle) -> None:
        self._tokens = tokens
        self._keys = keys
        self._throttle = throttle

    def authenticate(self, credentials: str, address: str) -> Principal:
        """Return who `credentials` belong to.

        Raises:
            AuthenticationFailed: they belong to no user, or have ended.
            RateLimited: the same, and `address` has failed too often to be told which.
        """
        try:
            return self._judge(credentials)
        except AuthenticationFailed:
            self._throttle.failed(address)
            raise

    def require(self, credentials: str, address: str, role: str) -> None:
        """As `authenticate`, for one request over HTTP; also raises PermissionDenied."""
        self.authenticate(credentials, address).role.require(Role(role))

    def _judge(self, credentials: str) -> Principal:
        if not credentials:
            raise AuthenticationFailed("The credentials are empty.", reason="missing_credentials")
        if credentials.startswith(API_KEY_PREFIX):
            return self._keys.verify(credentials)
        return self._tokens.verify(credentials)
