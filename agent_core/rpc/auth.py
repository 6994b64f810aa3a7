"""Who may call: the secret, tokens signed with it, and the one place that judges credentials."""

import hashlib
import hmac
import re
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from agent_core.clock import Clock
from agent_core.errors import AuthenticationFailed, StartFailed
from agent_core.rpc.apikeys import API_KEY_PREFIX, ApiKeys
from agent_core.rpc.limits import FailureThrottle
from agent_core.rpc.roles import Principal, Role
from agent_core.small_files import read_small
from agent_core.state import explain_os_error, make_folder, write_new

__all__ = ("Authenticator", "Secret", "TokenAuthority")

_ALGORITHM = "HS256"
_CLAIMS = ("user_id", "role", "iat", "exp")
#: HS256 wants a key as long as its hash (RFC 7518, 3.2).
_MIN_SECRET_BYTES = 32
_MAX_TOKEN_CHARS = 4096
_MAX_USER_ID_CHARS = 200
#: Words of secrets that stand in examples, tutorials and other products' default configurations.
_DEFAULTS = re.compile(
    r"change[-_ ]?(me|this|in)|default|example|your[-_ ]|secret[-_ ]key|password", re.IGNORECASE
)


class Secret:
    """The key that signs tokens. Never shown, not even by `repr`."""

    def __init__(self, value: bytes, path: Path | None = None) -> None:
        """Raises StartFailed, which names `path`, for a value that others may know or guess."""
        _refuse_weak(value, path)
        self._value = value

    def __repr__(self) -> str:
        return "Secret(...)"

    @property
    def value(self) -> bytes:
        return self._value

    def derive(self, purpose: str) -> bytes:
        """A key for something else than tokens, so that neither can stand in for the other."""
        return hmac.digest(self._value, purpose.encode(), hashlib.sha256)

    @classmethod
    def load(cls, path: Path) -> "Secret":
        """Read the secret; on the first start write a generated one, readable only by this account. Blocks.

        Raises:
            StartFailed: the file is weak, open to others, not a regular file, another account's, or cannot be read or
                written.
        """
        try:
            if not path.exists():
                _generate(path)
            _refuse_exposed(path)
            return cls(read_small(path, private=True).strip(), path)
        except OSError as error:
            why = explain_os_error(error, f"read the agent's secret, {path}")
            raise StartFailed(why.details, reason="secret_unreadable", suggestion=why.suggestion) from error


def _generate(path: Path) -> None:
    make_folder(path.parent)
    try:
        write_new(path, secrets.token_urlsafe(48).encode() + b"\n", mode=0o600)
    except FileExistsError:
        return  # Another process of this agent, `token create` perhaps, came first.


def _refuse_exposed(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise StartFailed(
            f"The file with the agent's secret, {path}, can be read by other accounts.",
            reason="secret_exposed",
            suggestion="Delete it, so that a new one is made, or make its mode 0600.",
        )


def _refuse_weak(value: bytes, path: Path | None) -> None:
    advice = f"Delete the file{f' {path}' if path else ''}; the agent makes a good one when it starts."
    if len(value) < _MIN_SECRET_BYTES or len(set(value)) < 8:
        raise StartFailed("The agent's secret is too short.", reason="secret_too_short", suggestion=advice)
    if _DEFAULTS.search(value.decode(errors="replace")):
        raise StartFailed(
            "The agent's secret is a known default.", reason="secret_default", suggestion=advice
        )


class TokenAuthority:
    """Makes and checks tokens: JWT, HS256, claims `user_id`, `role`, `iat`, `exp`."""

    def __init__(self, secret: Secret, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def create(self, user_id: str, role: Role, lifetime_s: float) -> str:
        issued_s = int(self._clock.now().timestamp())
        claims = {"user_id": user_id, "role": str(role), "iat": issued_s, "exp": issued_s + int(lifetime_s)}
        import jwt

        return jwt.encode(claims, self._secret.value, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Principal:
        """Raises AuthenticationFailed: `token_invalid` or `token_expired`."""
        claims = self._claims(token)
        user_id, role = claims["user_id"], claims["role"]
        if (
            not isinstance(user_id, str)
            or not 0 < len(user_id) <= _MAX_USER_ID_CHARS
            or role not in tuple(Role)
        ):
            raise _invalid("The token's claims user_id and role do not name a user and a role.")
        _moment(claims["iat"])
        expires_at = _moment(claims["exp"])
        if expires_at <= self._clock.now():
            raise AuthenticationFailed("The token has expired.", reason="token_expired")
        return Principal(user_id, Role(str(role)), expires_at)

    def _claims(self, token: str) -> dict[str, object]:
        if len(token) > _MAX_TOKEN_CHARS:
            raise _invalid("The token is too long.")
        import jwt

        # The times are checked here against the injected clock. An `iat` ahead of it is no reason to refuse: a
        # device without a battery-backed clock starts in the past.
        options = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            return jwt.decode(token, self._secret.value, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"The token lacks one of the claims {', '.join(_CLAIMS)}.") from error
        except jwt.InvalidAlgorithmError as error:
            raise _invalid(f"The token is not signed with {_ALGORITHM}.") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _invalid("The token is malformed or was not made by this agent.") from error


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("The token's iat and exp are not times.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _invalid("The token's iat and exp are not times.") from error


def _invalid(details: str) -> AuthenticationFailed:
    return AuthenticationFailed(details, reason="token_invalid")


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
