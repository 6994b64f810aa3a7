import random
from contextlib import suppress

import pytest

from agent_core.plugin.rtsp import Authorization, Challenge, Credentials, RtspError, answer

MUFASA = Credentials("Mufasa", "Circle Of Life")
BASIC = 'Basic realm="ipcam"'
DIGEST = 'Digest realm="ipcam", nonce="f00", stale="FALSE"'


def test_the_example_of_rfc_2617() -> None:
    challenge = Challenge.parse(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    authorization = Authorization.parse(
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert authorization.proves(MUFASA, challenge, "GET")
    assert not authorization.proves(MUFASA, challenge, "POST")
    assert not authorization.proves(Credentials("Mufasa", "other"), challenge, "GET")


@pytest.mark.parametrize(
    "challenge",
    [
        BASIC,
        DIGEST,
        'Digest realm="a \\"b\\"", nonce="n", opaque="", qop="auth"',
        'Digest realm=r, nonce="n", algorithm=SHA-256',
        'Digest realm="r",nonce="n",algorithm=md5',
    ],
)
def test_an_answer_proves_the_credentials_and_only_those(challenge: str) -> None:
    sent = Authorization.parse(answer([challenge], MUFASA, "DESCRIBE", "rtsp://h/p"))
    asked = Challenge.parse(challenge)
    assert sent.proves(MUFASA, asked, "DESCRIBE")
    assert not sent.proves(Credentials("Mufasa", "wrong"), asked, "DESCRIBE")
    assert not sent.proves(Credentials("Scar", MUFASA.password), asked, "DESCRIBE")


def test_digest_is_preferred_and_a_stale_nonce_is_no_proof() -> None:
    text = answer([BASIC, "Bearer x=y", DIGEST], MUFASA, "PLAY", "rtsp://h/p")
    assert text.startswith("Digest ")
    assert MUFASA.password not in text
    assert not Authorization.parse(text).proves(MUFASA, Challenge("digest", "ipcam", "other"), "PLAY")
    assert not Authorization.parse(text).proves(MUFASA, Challenge("basic", "ipcam"), "PLAY")


def test_challenges_are_written_as_gortsplib_does() -> None:
    assert str(Challenge("basic", "ipcam")) == BASIC
    assert str(Challenge("digest", "ipcam", "f00")) == 'Digest realm="ipcam", nonce="f00"'


@pytest.mark.parametrize(
    "challenges", [[], ["Bearer"], ['Digest realm="r", algorithm=SHA-512'], ["=", 'Digest "']]
)
def test_an_unknown_challenge_is_said_so(challenges: list[str]) -> None:
    with pytest.raises(RtspError, match="unsupported"):
        answer(challenges, MUFASA, "PLAY", "rtsp://h/p")


@pytest.mark.parametrize(
    "text", ["", "Bearer abc", "Basic", "Basic !!", "Basic Zm9v", "Basic /w==", "Digest user", 'Digest a="b']
)
def test_an_authorization_that_is_none(text: str) -> None:
    with pytest.raises(RtspError, match=r"authentication|Authorization"):
        Authorization.parse(text)


def test_secrets_are_not_in_representations() -> None:
    text = answer([BASIC], MUFASA, "PLAY", "rtsp://h/p")
    assert MUFASA.password not in repr(MUFASA)
    assert MUFASA.password not in repr(Authorization.parse(text))


@pytest.mark.parametrize("seed", range(200))
def test_any_text_is_read_or_one_error(seed: int) -> None:
    chance = random.Random(seed)
    base = list(
        chance.choice(
            (DIGEST, BASIC, answer([DIGEST], MUFASA, "PLAY", "*"), answer([BASIC], MUFASA, "PLAY", "*"))
        )
    )
    for _ in range(chance.randrange(8)):
        base[chance.randrange(len(base))] = chance.choice('",=\\ \x00é٣a')
    for read in (Challenge.parse, Authorization.parse):
        with suppress(RtspError):
            read("".join(base))
