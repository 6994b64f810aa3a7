"""Tokens signed with the agent's secret."""

from datetime import UTC, datetime

from agent_core.auth.roles import Principal, Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed

__all__ = ("TokenAuthority",)

_ALGORITHM = "HS256"
_CLAIMS = ("user_id", "role", "iat", "exp")
_MAX_TOKEN_CHARS = 4096
_MAX_USER_ID_CHARS = 200


class TokenAuthority:
    """Issuer and verifier of tokens: JWT, HS256, claims `user_id`, `role`, `iat`, `exp`."""

    def __init__(self, secret: Secret, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def create(self, user_id: str, role: Role, lifetime_s: float) -> str:
        issued_s = int(self._clock.now().timestamp())
        claims = {"user_id": user_id, "role": str(role), "iat": issued_s, "exp": issued_s + int(lifetime_s)}
        import jwt

        return jwt.encode(claims, self._secret.value, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Principal:
        """Return the user of `token`. Raises AuthenticationFailed: `token_invalid` or `token_expired`."""
        claims = self._claims(token)
        user_id, role = claims["user_id"], claims["role"]
        if (
            not isinstance(user_id, str)
            or not 0 < len(user_id) <= _MAX_USER_ID_CHARS
            or role not in tuple(Role)
        ):
            raise _invalid("The token's claims user_id and role are not a valid user and role.")
        _moment(claims["iat"])
        expires_at = _moment(claims["exp"])
        if expires_at <= self._clock.now():
            raise AuthenticationFailed("The token has expired.", reason="token_expired")
        return Principal(user_id, Role(str(role)), expires_at)

    def _claims(self, token: str) -> dict[str, object]:
        if len(token) > _MAX_TOKEN_CHARS:
            raise _invalid("The token is too long.")
        import jwt

        # The caller checks `exp` against the injected clock. An `iat` in the future is accepted: a device without a
        # battery-backed clock starts in the past.
        options = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            return jwt.decode(token, self._secret.value, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"The token lacks one of the claims {', '.join(_CLAIMS)}.") from error
        except jwt.InvalidAlgorithmError as error:
            raise _invalid(f"The token is not signed with {_ALGORITHM}.") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _invalid("The token is malformed or was not issued by this agent.") from error


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("The token's claims iat and exp are not times.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _invalid("The token's claims iat and exp are not times.") from error


def _invalid(details: str) -> AuthenticationFailed:
    return AuthenticationFailed(details, reason="token_invalid")
