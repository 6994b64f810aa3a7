"""Addresses that the worker opens, and how long it waits for each kind."""

import pytest

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.address import Address, Limits
from rtsp_tier.worker.faults import StreamFailure

SETTINGS = Configure(0.2, 4.0, 3.0, 8 << 20, 90)


def test_a_frame_socket_is_opened_by_its_path_alone() -> None:
    address = Address("unix:/run/camera agent/camera0.sock")
    assert address.is_socket
    assert address.with_credentials() == "unix:/run/camera agent/camera0.sock"
    assert address.options(address.limits(SETTINGS))["protocol_whitelist"] == "unix"


@pytest.mark.parametrize(
    "url", ["unix:", "unix:camera0.sock", "unix", "file:/etc/passwd", "http://x/", "rtsp:/x"]
)
def test_nothing_else_is_opened(url: str) -> None:
    with pytest.raises(StreamFailure) as caught:
        Address(url).with_credentials()
    assert caught.value.reason is Reason.UNSUPPORTED_STREAM


def test_a_stream_has_the_limits_of_the_settings() -> None:
    assert Address("rtsp://127.0.0.1/x", interval_s=9.0).limits(SETTINGS) == Limits(4.0, 3.0)


def test_a_camera_may_start_slowly_and_send_seldom() -> None:
    often = Address("unix:/x", interval_s=0.04).limits(SETTINGS)
    assert (often.connect_s, often.silence_s) == (20.0, 3.0)
    seldom = Address("unix:/x", interval_s=5.0).limits(SETTINGS)
    assert (seldom.connect_s, seldom.silence_s) == (25.0, 25.0)
    assert seldom.within(2.0) == Limits(2.0, 2.0)
