"""Login codes: short-lived, for one use, exchanged for a token by the page that a printed link opens."""

from dataclasses import dataclass, field
from datetime import datetime

from agent_core.auth.files import CredentialFiles
from agent_core.auth.limits import FailureThrottle
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret, SecretSource
from agent_core.auth.tokens import Claims, TokenAuthority
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed
from agent_core.base.workers import WorkerPool

__all__ = ("LOGIN_LIFETIME_S", "Login", "LoginCodes", "LoginDesk")

#: Validity of a code: time to open a link that was printed a moment ago.
LOGIN_LIFETIME_S = 120.0
#: A key derived for this purpose signs the codes, so that no code is a token, and no token a code.
_PURPOSE = "login codes"


@dataclass(frozen=True, slots=True)
class _DerivedSecret:
    """Secret for another purpose, of the same source."""

    source: SecretSource

    def current(self) -> Secret:
        """Return the secret. Raises AuthenticationFailed if there is none."""
        return Secret(self.source.current().derive(_PURPOSE))


class LoginCodes:
    """Maker and verifier of login codes. Nothing is stored of a code before it is used.

    Args:
        secret: the agent's; a new secret invalidates all codes.
        clock: tells when they expire.
        revoked: the used codes; None for a maker that verifies none.
    """

    def __init__(self, secret: SecretSource, clock: Clock, revoked: RevokedTokens | None = None) -> None:
        self._authority = TokenAuthority(_DerivedSecret(secret), clock, revoked)

    def create(self, user_id: str, role: Role) -> str:
        """Return a code for this user. Raises AuthenticationFailed without a secret."""
        return self._authority.create(user_id, role, LOGIN_LIFETIME_S)

    def verify(self, code: str) -> Claims:
        """Return what the code says.

        Raises:
            AuthenticationFailed: `login_code_invalid`: it is malformed or used, or has expired; `no_secret`.
        """
        try:
            self._authority.verify(code)
            return self._authority.examine(code)[0]
        except AuthenticationFailed as error:
            if error.reason == "no_secret":
                raise
            raise _unusable() from error


@dataclass(frozen=True, slots=True)
class Login:
    """Result of a used code: a token of its user."""

    token: str = field(repr=False)
    user: str
    role: Role
    expires_at: datetime


class LoginDesk:
    """Exchanges each code for a token once, also over restarts of the agent: used codes are revoked in the state folder.

    Revokes tokens of pages whose users log out.

    Args:
        codes: verifies codes.
        tokens: issues the tokens.
        revoked: stores used codes.
        throttle: counts failures by address.
        files: have `revoked` among them.
        lifetime_s: validity of the tokens.
        clock: tells when a used code may be forgotten.
    """

    def __init__(
        self,
        codes: LoginCodes,
        tokens: TokenAuthority,
        revoked: RevokedTokens,
        *,
        throttle: FailureThrottle,
        files: CredentialFiles,
        lifetime_s: float,
        clock: Clock,
    ) -> None:
        self._codes = codes
        self._tokens = tokens
        self._revoked = revoked
        self._throttle = throttle
        self._files = files
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._thread = WorkerPool(1)
        #: Ends of codes used since the start, by id: the file follows later, and two requests may come at once.
        self._used: dict[str, datetime] = {}

    def configure(self, lifetime_s: float) -> None:
        """Give later tokens another validity."""
        self._lifetime_s = lifetime_s

    async def redeem(self, code: str, address: str) -> Login:
        """Exchange a code. Without a disk that stores its use, no code is good.

        Raises:
            AuthenticationFailed: `login_code_invalid`; `no_secret`.
            RateLimited: the same, but `address` has failed too often to be told the reason.
            StateCorrupt, StorageFailed, InvalidState: the use cannot be stored; the code is used up nevertheless.
        """
        await self._files.catch_up()
        try:
            claims = self._claimed(code)
        except AuthenticationFailed:
            self._throttle.failed(address)
            raise
        async with self._files.changing():
            await self._thread.run(self._revoked.revoke, claims.id, claims.expires_at)
        token = self._tokens.create(claims.user_id, claims.role, self._lifetime_s)
        return Login(token, claims.user_id, claims.role, self._tokens.examine(token)[0].expires_at)

    async def end(self, token: str, address: str) -> None:
        """Revoke a token for the page that has it, as a person logs out. What the token holds open ends soon after.

        Raises:
            AuthenticationFailed: it is no valid token; an API key is none.
            RateLimited: the same, but `address` has failed too often to be told the reason.
            StateCorrupt, StorageFailed, InvalidState: it cannot be revoked, and is valid until its end.
        """
        await self._files.catch_up()
        try:
            self._tokens.verify(token)
            claims = self._tokens.examine(token)[0]
        except AuthenticationFailed:
            self._throttle.failed(address)
            raise
        async with self._files.changing():
            await self._thread.run(self._revoked.revoke, claims.id, claims.expires_at)

    def _claimed(self, code: str) -> Claims:
        """Return the claims of a code and note its use, without waiting. Raises AuthenticationFailed."""
        claims, now = self._codes.verify(code), self._clock.now()
        if claims.id in self._used:
            raise _unusable()
        # An hour more than they are valid, for a clock that is set back meanwhile.
        self._used = {each: end for each, end in self._used.items() if (now - end).total_seconds() < 3600} | {
            claims.id: claims.expires_at
        }
        return claims


def _unusable() -> AuthenticationFailed:
    return AuthenticationFailed(
        "This login link is invalid, was used before or has expired.",
        reason="login_code_invalid",
        suggestion="Make another one with `camera-agent token link`, or log in with a token or an API key.",
    )
