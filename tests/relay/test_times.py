"""Spans of time as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import decode_content, encode_content
from protocol.errors import Refused, RemoteError
from protocol.limits import SECOND_US, TIME_MAX_US
from relay.times import parse_duration_us, parse_time_us, span_text, time_text
from tests.world import make_content


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


@pytest.mark.parametrize("field", ["occurred_us", "deadline_us"])
def test_g10_every_time_that_is_taken_in_can_be_shown(field: str) -> None:
    """An enrolled office may write any number; one that no calendar has would break the inbox of whoever lists it."""
    latest = encode_content(make_content(**{field: TIME_MAX_US}))
    assert time_text(getattr(decode_content(latest), field)) == "2255-06-05T23:47:34.740991Z"
    with pytest.raises(RemoteError, match="MALFORMED"):
        decode_content(encode_content(make_content(**{field: TIME_MAX_US + 1})))


def test_a_time_that_no_office_would_take_is_refused_where_it_is_written() -> None:
    assert parse_time_us("2255-06-05T23:47:34.740991Z", field="since") == TIME_MAX_US
    with pytest.raises(Refused, match="BAD_FIELD"):
        parse_time_us("2255-06-05T23:47:34.740992Z", field="since")
