"""A log that strangers cannot fill."""

import logging

import pytest

from agent_core.web.log_limit import RepetitionFilter, limit_repetitions

LOG = logging.getLogger("camera_agent.test.sparing")


def test_the_same_sentence_is_logged_ten_times_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    with limit_repetitions((LOG.name,), lambda: now_s[0]):
        for number in range(100):
            LOG.warning("refused %d", number)
        LOG.warning("something else")
        now_s[0] = 61.0
        LOG.warning("refused %d", 100)
        LOG.warning("refused %d", 101)
    said = [each.getMessage() for each in caplog.records]
    assert said[:10] == [f"refused {number}" for number in range(10)]
    assert said[10:] == ["something else", "refused 100 (and 90 more like this)", "refused 101"]
    LOG.warning("refused %d", 102)
    assert caplog.records[-1].getMessage() == "refused 102"


def test_other_exceptions_are_another_sentence() -> None:
    limit = RepetitionFilter(lambda: 0.0)

    def passes(error: Exception) -> bool:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "broken", (), (type(error), error, None))
        return limit.filter(record)

    assert [passes(ValueError()) for _ in range(11)] == [True] * 10 + [False]
    assert passes(KeyError())


def test_sentences_without_a_template_do_not_fill_the_memory() -> None:
    limit = RepetitionFilter(lambda: 0.0)
    for number in range(5000):
        limit.filter(logging.LogRecord("x", logging.ERROR, "", 0, f"number {number}", (), None))
    assert len(limit._seen) <= 1001
