"""Lines of an audit log by themselves: what is made is split again, follows only its place, and has one form (G15)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.audit import GENESIS, START, Mark, follow, make_line, require_next, split_line
from protocol.errors import RemoteError
from protocol.ids import Digest

numbers = st.integers(1, 10**18 - 1)
heads = st.binary(min_size=32, max_size=32).map(Digest)
words = st.text('abc,"{}:1 ü汉', max_size=40)


def body_of(number: int, rest: str) -> bytes:
    return f'{{"n":{number},"did":"x{rest}"'.encode()


@given(numbers, heads, words)
def test_g15_a_line_is_split_into_what_it_was_made_of(number: int, before: Digest, rest: str) -> None:
    body = body_of(number, rest)
    line, digest = make_line(before, body)
    assert split_line(line) == (number, body, digest)
    assert follow(line, Mark(number - 1, before)) == Mark(number, digest)


@given(numbers, heads, heads, st.integers(0, 2**60))
def test_g15_a_line_follows_its_place_only(number: int, before: Digest, other: Digest, count: int) -> None:
    line, _ = make_line(before, body_of(number, ""))
    for after in (Mark(count, before), Mark(number - 1, other)):
        if after != Mark(number - 1, before):
            with pytest.raises(RemoteError, match="BAD_DIGEST"):
                follow(line, after)


def test_g15_the_largest_number_has_eighteen_digits() -> None:
    line, digest = make_line(GENESIS, body_of(10**18 - 1, ""))
    assert split_line(line)[0] == 10**18 - 1
    line, _ = make_line(GENESIS, body_of(10**18, ""))
    with pytest.raises(RemoteError, match="MALFORMED"):
        split_line(line)
    with pytest.raises(RemoteError, match="BAD_DIGEST"):
        require_next(2, b"", digest, START)
