import os
import socket
import subprocess
import sys
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


#: Runs a program without the privilege, on a host where ports below 20000 need it.
_HIGH = "echo 20000 > /proc/sys/net/ipv4/ip_unprivileged_port_start"
_DROP = 'exec setpriv --bounding-set=-net_bind_service "$@"'
FEW_PORTS = ("unshare", "--net", "sh", "-ec", f"{_HIGH}; {_DROP}", "sh")
BIND = """
import sys
from agent_core.base.errors import StartFailed
from agent_core.web.listener import bind
for port in (80, 8002):
    try:
        bind("127.0.0.1", port)
    except StartFailed as error:
        print(error.reason, error.suggestion)
"""


def test_the_advice_fits_the_port() -> None:
    made = subprocess.run([*FEW_PORTS, "true"], check=False, capture_output=True)
    if os.geteuid() != 0 or made.returncode != 0:
        pytest.skip("a network of its own needs root, unshare(1) and setpriv(1)")
    done = subprocess.run(
        [*FEW_PORTS, sys.executable, "-c", BIND], check=True, capture_output=True, text=True
    )
    low, high = done.stdout.splitlines()
    assert low.startswith("port_not_allowed")
    assert "above 1023" in low
    assert high.startswith("port_not_allowed")
    assert "above 1023" not in high
    assert "server.port" in high


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
