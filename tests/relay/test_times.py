"""Spans of time as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import SECOND_US
from relay.times import parse_duration_us, span_text


@pytest.mark.parametrize(
    ("span_us", "text"),
    [
        (0, "0s"),
        (499_999, "0s"),
        (-500_000, "1s"),
        (61 * SECOND_US, "1m 1s"),
        (3_600 * SECOND_US, "1h 0m"),
        (-259_199_999_990, "3d 0h"),
    ],
)
def test_spans(span_us: int, text: str) -> None:
    assert span_text(span_us) == text


@given(st.integers(SECOND_US, 10**15))
def test_a_span_is_short_by_less_than_its_second_unit(span_us: int) -> None:
    words = span_text(span_us).split()
    said_us = sum(parse_duration_us(word, field="span") for word in words if not word.startswith("0"))
    unit_us = parse_duration_us("1" + words[-1][-1], field="span")
    assert -SECOND_US <= span_us - said_us < unit_us + SECOND_US
