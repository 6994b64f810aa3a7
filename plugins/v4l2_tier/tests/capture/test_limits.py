from fractions import Fraction

from v4l2_tier.capture.exposure import ExposureClock
from v4l2_tier.capture.limits import RecoveryLadder, Silence, Step, broker_settings
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.settings import CaptureSettings

MONOTONIC, SOE, UNKNOWN, COPY = 0x2000, 0x10000, 0x0, 0x4000


def test_the_ladder_goes_up_while_problems_come_back_and_starts_again_when_all_was_well() -> None:
    ladder = RecoveryLadder()
    assert [ladder.next(at_s) for at_s in (0.0, 5.0, 10.0, 12.0)] == [
        Step.RESTART,
        Step.REOPEN,
        Step.GIVE_UP,
        Step.GIVE_UP,
    ]
    assert ladder.next(43.0) is Step.RESTART
    assert ladder.next(60.0) is Step.REOPEN


def test_the_broker_waits_for_the_whole_ladder() -> None:
    for interval in (Fraction(1, 60), Fraction(1, 30), Fraction(1, 5), Fraction(10)):
        silence = Silence.of(interval)
        settings = broker_settings(CaptureSettings(), ChosenMode("MJPG", 640, 480, interval))
        assert settings.stall_s > silence.between_s + 2 * silence.again_s
        assert settings.first_frame_s > silence.first_s + 2 * silence.again_s
        assert silence.between_s >= 5 * interval
        assert settings.pipeline_latency_s >= 2 * interval


def test_lifetimes_are_those_configured() -> None:
    wanted, chosen = (
        CaptureSettings(warm_ttl_s=3, parked_ttl_s=7),
        ChosenMode("MJPG", 640, 480, Fraction(1, 30)),
    )
    settings = broker_settings(wanted, chosen)
    assert (settings.warm_ttl_s, settings.parked_ttl_s) == (3, 7)
    virtual = broker_settings(wanted, chosen, is_virtual=True)
    assert (virtual.warm_ttl_s, virtual.parked_ttl_s) == (3, 0)


def test_a_capture_time_is_never_later_than_the_exposure() -> None:
    clock = ExposureClock(100.0, lead_s=0.04)
    assert clock.exposed_s(100.5, MONOTONIC, 100.6) == 100.46
    assert clock.exposed_s(100.5, MONOTONIC | SOE, 100.6) == 100.46


def test_stamps_that_cannot_be_true_are_not_used() -> None:
    clock = ExposureClock(100.0, lead_s=0.0)
    assert clock.exposed_s(100.5, UNKNOWN, 100.6) is None
    assert clock.exposed_s(100.5, COPY, 100.6) is None
    assert clock.exposed_s(0.0, MONOTONIC, 100.6) is None
    assert clock.exposed_s(99.0, MONOTONIC, 100.6) is None
    assert clock.exposed_s(101.0, MONOTONIC, 100.6) is None
    # Old, but of this stream: the agent was held up, and the frame is as old as it says.
    assert clock.exposed_s(100.5, MONOTONIC, 400.0) == 100.5
