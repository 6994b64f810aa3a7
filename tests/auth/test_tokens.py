"""Tokens: which are accepted, until when, and which forgeries are not."""

import base64
import hmac
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.errors import AuthenticationFailed
from agent_core.testing import SimulatedClock

#: Long enough for the other algorithms too.
GOOD = b"kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7" * 2


@pytest.fixture
def revoked(tmp_path: Path, clock: SimulatedClock) -> RevokedTokens:
    return RevokedTokens(tmp_path / "revoked-tokens.json", clock)


@pytest.fixture
def tokens(clock: SimulatedClock, revoked: RevokedTokens) -> TokenAuthority:
    return TokenAuthority(Secret(GOOD), clock, revoked)


def refusal(tokens: TokenAuthority, token: str) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        tokens.verify(token)
    return caught.value.reason


def signed(clock: SimulatedClock, key: bytes = GOOD, algorithm: str = "HS256", **changes: Any) -> str:
    now_s = int(clock.now().timestamp())
    claims = {"user_id": "u", "role": "viewer", "iat": now_s, "exp": now_s + 60} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm=algorithm)


def test_a_token_says_who_and_until_when(tokens: TokenAuthority, clock: SimulatedClock) -> None:
    principal = tokens.verify(tokens.create("alice", Role.OPERATOR, 60))
    assert (principal.user_id, principal.role) == ("alice", Role.OPERATOR)
    assert principal.expires_at == clock.now() + timedelta(seconds=60)


def test_a_token_ends(tokens: TokenAuthority, clock: SimulatedClock) -> None:
    token = tokens.create("alice", Role.OPERATOR, 60)
    clock.jump(59)
    tokens.verify(token)
    clock.jump(1)
    with pytest.raises(AuthenticationFailed) as caught:
        tokens.verify(token)
    assert caught.value.reason == "token_expired"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_of_the_future_is_refused_until_then(
    tokens: TokenAuthority, clock: SimulatedClock, claim: str
) -> None:
    now_s = int(clock.now().timestamp())
    later: dict[str, Any] = {claim: now_s + 1000, "exp": now_s + 2000}
    assert refusal(tokens, signed(clock, **later)) == "token_not_yet_valid"
    token = signed(clock, **later)
    clock.jump(1000)
    assert tokens.verify(token).user_id == "u"


def test_the_issuers_clock_may_be_a_minute_ahead(tokens: TokenAuthority, clock: SimulatedClock) -> None:
    now_s = int(clock.now().timestamp())
    assert tokens.verify(signed(clock, iat=now_s + 60, exp=now_s + 120)).user_id == "u"
    assert refusal(tokens, signed(clock, iat=now_s + 61, exp=now_s + 120)) == "token_not_yet_valid"


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": None}, {"role": None}, {"iat": None}, {"exp": None}, {"user_id": ""}, {"user_id": "x" * 201},
        {"user_id": 5}, {"role": "root"}, {"role": ["admin"]}, {"role": {}}, {"exp": "soon"}, {"exp": True},
        {"exp": 10**30}, {"iat": "then"}, {"exp": [1]},
        {"nbf": "x"}, {"jti": ""}, {"jti": 5}, {"jti": "x" * 129}, {"jti": "a b"}, {"jti": "a\nb"},
        {"role": "Admin"}, {"role": "viewer,admin"}, {"role": "viewer "},
    ],
)  # fmt: skip
def test_bad_claims_are_refused(
    tokens: TokenAuthority, clock: SimulatedClock, changes: dict[str, Any]
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        tokens.verify(signed(clock, **changes))
    assert caught.value.reason == "token_invalid"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _with_header(token: str, header: dict[str, str]) -> str:
    return f"{part(header)}.{token.partition('.')[2]}"


def _unsigned(clock: SimulatedClock) -> str:
    now_s = int(clock.now().timestamp())
    claims = {"user_id": "u", "role": "admin", "iat": now_s, "exp": now_s + 60}
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def test_only_our_algorithm_and_our_key(tokens: TokenAuthority, clock: SimulatedClock) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 2900).decode()
    for token in (
        _unsigned(clock),
        signed(clock, algorithm="HS384"),
        signed(clock, algorithm="HS512"),
        _with_header(signed(clock), {"alg": "none", "typ": "JWT"}),
        _with_header(signed(clock), {"alg": "RS256", "typ": "JWT"}),
        signed(clock, key=GOOD[::-1]),
        signed(clock)[:-2],
        f"{deep}.e30.x",
        "a.b.c", "..", "é", "\ud800", "a" * 5000, "null",
    ):  # fmt: skip
        with pytest.raises(AuthenticationFailed) as caught:
            tokens.verify(token)
        assert caught.value.reason == "token_invalid"


def forged(header: str, claims: str) -> str:
    """Return a token with these texts, signed with the right key."""
    signed_part = ".".join(
        base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in (header, claims)
    )
    signature = hmac.digest(GOOD, signed_part.encode(), "sha256")
    return f"{signed_part}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


CLAIMS = '{"user_id": "u", "role": "viewer", "iat": %s, "exp": %s}'


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ('{"alg": "HS256"}', CLAIMS % (0, "Infinity")),
        ('{"alg": "HS256"}', CLAIMS % (0, "NaN")),
        ('{"alg": "HS256"}', CLAIMS % ("-Infinity", 9999999999)),
        ('{"alg": "HS256"}', CLAIMS % (0, "1e999")),
        ('{"alg": "HS256"}', CLAIMS % (0, "9" * 4000)),
        ('{"alg": "HS256"}', CLAIMS % (0, "9" * 5)),
        ('{"alg": "HS256"}', CLAIMS % (0, '"9999999999"')),
        ('{"alg": "HS256", "crit": ["exp"], "exp": 0}', CLAIMS % (0, 9999999999)),
        ('{"alg": "HS256", "crit": ["b64"], "b64": false}', CLAIMS % (0, 9999999999)),
        ('{"alg": "HS256", "kid": null}', "[]"),
        ('{"alg": ["HS256"]}', CLAIMS % (0, 9999999999)),
        ('{"alg": "hs256"}', CLAIMS % (0, 9999999999)),
        ("[]", CLAIMS % (0, 9999999999)),
        ('{"alg": "HS256"}', '"' + "x" * 100 + '"'),
    ],
)
def test_a_signature_alone_makes_no_token(
    tokens: TokenAuthority, clock: SimulatedClock, header: str, claims: str
) -> None:
    """The signature is right: what only a careless issuer makes grants nothing either, and is no crash."""
    assert tokens.verify(forged('{"alg": "HS256"}', CLAIMS % (0, 9999999999))).user_id == "u"
    assert refusal(tokens, forged(header, claims)) in {"token_invalid", "token_expired"}


def test_noise_is_never_a_crash(tokens: TokenAuthority, clock: SimulatedClock) -> None:
    rng = random.Random(7)
    good = signed(clock)
    for _ in range(500):
        text = list(good)
        text[rng.randrange(len(text))] = rng.choice("aZ0_-.=\x00é")
        bad = "".join(text)
        if bad.rpartition(".")[0] != good.rpartition(".")[0]:
            with pytest.raises(AuthenticationFailed):
                tokens.verify(bad)


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_a_viewer_cannot_write_another_role_into_its_token(
    tokens: TokenAuthority, clock: SimulatedClock, role: str
) -> None:
    header, _, signature = signed(clock).split(".")
    now_s = int(clock.now().timestamp())
    claims = part({"user_id": "u", "role": role, "iat": now_s, "exp": now_s + 60})
    assert refusal(tokens, f"{header}.{claims}.{signature}") == "token_invalid"


@pytest.mark.parametrize("jti", ["night-shift.7", None], ids=["with an id", "without an id"])
def test_a_revoked_token_is_refused_for_good(
    tokens: TokenAuthority, revoked: RevokedTokens, clock: SimulatedClock, jti: str | None
) -> None:
    token, other = signed(clock, jti=jti), signed(clock, jti=jti and "other", user_id="v")
    assert tokens.verify(token).user_id == "u"
    revoked.revoke(tokens.examine(token)[0].id)
    assert refusal(tokens, token) == refusal(tokens, token) == "token_revoked"
    assert tokens.verify(other).user_id == "v"


def test_another_spelling_of_a_revoked_token_is_refused(
    tokens: TokenAuthority, revoked: RevokedTokens, clock: SimulatedClock
) -> None:
    """The last character of a signature of 32 bytes has two bits that mean nothing; lenient decoders ignore them."""
    token = signed(clock)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    revoked.revoke(tokens.examine(token)[0].id)
    assert refusal(tokens, respelled) in {"token_invalid", "token_revoked"}


def test_every_token_has_an_id_of_its_own(tokens: TokenAuthority) -> None:
    made = {tokens.examine(tokens.create("u", Role.VIEWER, 60))[0].id for _ in range(100)}
    assert len(made) == 100
