"""Tokens signed with the agent's secret."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from agent_core.auth.revocations import TOKEN_ID, RevokedTokens
from agent_core.auth.roles import Principal, Role
from agent_core.auth.secret import Secret, SecretSource
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed

__all__ = ("Claims", "TokenAuthority")

_ALGORITHM = "HS256"
#: Begins the `Principal.credential` of a token.
_KIND = "token:"
_CLAIMS = ("user_id", "role", "iat", "exp")
_MAX_TOKEN_CHARS = 4096
_MAX_USER_ID_CHARS = 200
#: Tolerated difference between the clocks of the token's issuer and of this host.
_CLOCK_SKEW_S = 60.0


class TokenAuthority:
    """Issuer and verifier of tokens: JWT, HS256, claims `user_id`, `role`, `iat`, `exp`; with `jti` in those it issues.

    Args:
        secret: signs the tokens.
        clock: tells when they expire.
        revoked: the tokens that are valid no longer; None for an issuer that verifies none.
    """

    def __init__(self, secret: SecretSource, clock: Clock, revoked: RevokedTokens | None = None) -> None:
        self._secret = secret
        self._clock = clock
        self._revoked = revoked

    def create(self, user_id: str, role: Role, lifetime_s: float) -> str:
        issued_s = int(self._clock.now().timestamp())
        claims = {
            "user_id": user_id,
            "role": str(role),
            "iat": issued_s,
            "exp": issued_s + int(lifetime_s),
            "jti": secrets.token_hex(8),
        }
        import jwt

        return jwt.encode(claims, self._secret.current().value, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Principal:
        """Return the user of `token`.

        Raises:
            AuthenticationFailed: `token_invalid`, `token_expired`, `token_not_yet_valid` or `token_revoked`; `no_secret`
                if no token can be verified.
        """
        claims, issuer = self.examine(token)
        now_s = self._clock.now().timestamp()
        if claims.expires_at.timestamp() <= now_s:
            raise AuthenticationFailed("The token has expired.", reason="token_expired")
        if claims.valid_from.timestamp() > now_s + _CLOCK_SKEW_S:
            raise AuthenticationFailed(
                "The token is not valid yet, by this agent's clock.",
                reason="token_not_yet_valid",
                suggestion="Compare the clocks of both hosts; `camera-agent doctor` shows the agent's.",
            )
        if self._revoked is not None and self._revoked.covers(claims.id):
            raise AuthenticationFailed("The token was revoked.", reason="token_revoked")
        return Principal(claims.user_id, claims.role, claims.expires_at, f"{_KIND}{issuer}.{claims.id}")

    def is_current(self, credential: str) -> bool:
        """Return True if the token of a `Principal` is neither revoked nor signed by an older secret."""
        issuer, _, token_id = credential.removeprefix(_KIND).partition(".")
        try:
            same = issuer == _fingerprint(self._secret.current())
        except AuthenticationFailed:
            return False
        return (
            same
            and credential.startswith(_KIND)
            and not (self._revoked is not None and self._revoked.covers(token_id))
        )

    def examine(self, token: str) -> "tuple[Claims, str]":
        """Return the claims of a token that this secret has signed, valid or not, and the secret's fingerprint.

        Raises:
            AuthenticationFailed: `token_invalid`: the token is malformed, or another secret has signed it.
        """
        secret = self._secret.current()
        claims = _decoded(token, secret.value)
        user_id, role = claims["user_id"], claims["role"]
        if (
            not isinstance(user_id, str)
            or not 0 < len(user_id) <= _MAX_USER_ID_CHARS
            or role not in tuple(Role)
        ):
            raise _invalid("The token's claims user_id and role are not a valid user and role.")
        valid_from = max(_moment(claims[name]) for name in ("iat", "nbf") if name in claims)
        found = Claims(
            user_id, Role(str(role)), valid_from, _moment(claims["exp"]), _token_id(token, claims.get("jti"))
        )
        return found, _fingerprint(secret)


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of a token. `valid_from` is the later one of `iat` and `nbf`."""

    user_id: str
    role: Role
    valid_from: datetime
    expires_at: datetime
    id: str


def _decoded(token: str, secret: bytes) -> dict[str, object]:
    if len(token) > _MAX_TOKEN_CHARS:
        raise _invalid("The token is too long.")
    import jwt

    # The caller checks the times against the injected clock, and `jti` by its own rules.
    checks = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_jti"), False)
    options = {"require": list(_CLAIMS), **checks}
    try:
        return jwt.decode(token, secret, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
    except jwt.MissingRequiredClaimError as error:
        raise _invalid(f"The token lacks one of the claims {', '.join(_CLAIMS)}.") from error
    except jwt.InvalidAlgorithmError as error:
        raise _invalid(f"The token is not signed with {_ALGORITHM}.") from error
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _invalid("The token is malformed or was not issued by this agent.") from error


def _token_id(token: str, jti: object) -> str:
    """Return `jti`; for a token without one, a digest of what is signed: a signature has several spellings."""
    if jti is None:
        return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    if not isinstance(jti, str) or not TOKEN_ID.fullmatch(jti):
        raise _invalid("The token's claim jti is not an id.")
    return jti


def _fingerprint(secret: Secret) -> str:
    """Return what differs between two secrets, and reveals neither."""
    return secret.derive("fingerprint").hex()[:16]


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("The token's claims iat, nbf and exp are not times.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _invalid("The token's claims iat, nbf and exp are not times.") from error


def _invalid(details: str) -> AuthenticationFailed:
    return AuthenticationFailed(details, reason="token_invalid")
