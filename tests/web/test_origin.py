import pytest

from agent_core.web.origin import origin_allowed

LISTED = ("https://ui.example.org", "http://localhost:*", "null")


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        (None, (), True),
        ("http://127.0.0.1:8002", (), True),
        ("http://localhost:8002", (), True),
        ("HTTP://LocalHost:8002", (), True),
        ("http://[::1]:8002", (), True),
        ("https://127.0.0.1:8002", (), True),
        ("http://127.0.0.1:8003", (), False),
        ("http://127.0.0.1", (), False),
        ("http://evil.example:8002", (), False),
        ("http://localhost.evil.example:8002", (), False),
        ("null", (), False),
        ("", (), False),
        ("http://[", (), False),
        ("http://127.0.0.1:99999", (), False),
        ("file://", (), False),
        ("null", LISTED, True),
        ("null", ("*",), False),
        ("http://anything.example", ("*",), True),
        ("https://ui.example.org", LISTED, True),
        ("https://ui.example.org:444", LISTED, False),
        ("http://ui.example.org", LISTED, False),
        ("http://localhost:3000", LISTED, True),
        ("http://localhost.evil.example", LISTED, False),
        ("https://localhost:3000", LISTED, False),
        ("http://localhost:3000.evil.example", LISTED, False),
        ("http://localhost:x@evil.example", LISTED, False),
        ("http://localhost:3000/path", LISTED, False),
        ("http://evil.example@127.0.0.1:8002", (), False),
        ("http://127.0.0.1:8002/", (), False),
        ("http://127.0.0.1:8002#", (), False),
    ],
)
def test_which_pages_may_connect(origin: str | None, allowed: tuple[str, ...], expected: bool) -> None:
    assert (
        origin_allowed(origin, allowed=allowed, own_hosts=("127.0.0.1", "127.0.0.1"), own_port=8002)
        is expected
    )


def test_a_network_address_is_not_the_loopback() -> None:
    own = {"allowed": (), "own_hosts": ("0.0.0.0", "192.0.2.7"), "own_port": 80}  # noqa: S104 - a configured host
    assert origin_allowed("http://192.0.2.7", **own)  # type: ignore[arg-type]
    assert not origin_allowed("http://localhost", **own)  # type: ignore[arg-type]
