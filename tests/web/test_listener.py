import socket
from pathlib import Path

import pytest

from agent_core.base.errors import StartFailed
from agent_core.web.listener import bind, tls_context


def test_port_0_takes_a_free_one() -> None:
    (listening,) = bind("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname()):
        assert listening.getsockname()[1] > 0


def test_a_name_with_several_addresses_gets_one_port() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
    finally:
        for each in sockets:
            each.close()


def test_a_busy_port_is_said_to_be() -> None:
    (first,) = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, pytest.raises(StartFailed) as caught:
        bind("127.0.0.1", port)
    assert caught.value.reason == "port_in_use"
    assert str(port) in caught.value.details
    assert "server.port" in caught.value.suggestion
    (again,) = bind("127.0.0.1", port)
    again.close()


@pytest.mark.parametrize(
    ("host", "reason"), [("192.0.2.1", "host_not_here"), ("no.such.host.invalid", "host_unknown"), ("a" * 64, "host_unknown")]
)  # fmt: skip
def test_a_host_that_is_not_ours(host: str, reason: str) -> None:
    with pytest.raises(StartFailed) as caught:
        bind(host, 0)
    assert caught.value.reason == reason


def test_tls_needs_both_files_and_good_ones(tmp_path: Path) -> None:
    assert tls_context(None, None) is None
    with pytest.raises(StartFailed) as caught:
        tls_context(tmp_path / "a", None)
    assert caught.value.reason == "tls_incomplete"
    with pytest.raises(StartFailed) as caught:
        tls_context(tmp_path / "a", tmp_path / "b")
    assert caught.value.reason == "tls_unusable"
    (tmp_path / "a").write_text("no certificate")
    with pytest.raises(StartFailed) as caught:
        tls_context(tmp_path / "a", tmp_path / "a")
    assert caught.value.reason == "tls_unusable"
