"""Peers that read slowly, and peers that do not read."""

from agent_core.web.progress import Progress


def test_who_takes_nothing_between_two_looks_is_stalled() -> None:
    progress = Progress()
    progress.pause()
    assert not progress.is_stalled(100_000, 1000, is_closing=False)
    assert progress.is_stalled(100_000, 1000, is_closing=False)
    assert progress.is_stalled(100_500, 1000, is_closing=False)


def test_who_takes_enough_is_not() -> None:
    progress = Progress()
    progress.pause()
    for taken_bytes in range(0, 100_000, 1000):
        assert not progress.is_stalled(taken_bytes, 1000, is_closing=False)
        assert progress.is_paused


def test_who_took_all_and_was_sent_more_is_not() -> None:
    progress = Progress()
    for _ in range(10):
        progress.pause()
        assert not progress.is_stalled(-100_000, 1000, is_closing=False)
        progress.resume()
        assert not progress.is_paused


def test_what_little_waits_is_no_reason_until_the_connection_is_closed() -> None:
    progress = Progress()
    for _ in range(3):
        assert not progress.is_stalled(500, 1000, is_closing=False)
    assert not progress.is_stalled(500, 1000, is_closing=True)
    assert progress.is_stalled(500, 1000, is_closing=True)
