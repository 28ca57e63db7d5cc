"""What two people read to each other over the telephone says which bytes, in both languages, and catches slips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.spoken import SPOKEN_BYTES, digit_groups, hex_groups, words
from tests.keys.hearing import digest_of

DIGESTS = st.binary(min_size=32, max_size=32)
LANGS = ("zh_CN", "en")


@given(DIGESTS, st.sampled_from(LANGS))
def test_words_and_digits_say_the_first_sixteen_bytes(digest: bytes, lang: str) -> None:
    assert digest_of(words(digest, lang), lang) == digest[:SPOKEN_BYTES]
    numbers = [int(group) for group in digit_groups(digest)]
    assert b"".join(number.to_bytes(2, "big") for number in numbers) == digest[:SPOKEN_BYTES]
    assert bytes.fromhex(hex_groups(digest)) == digest


@given(DIGESTS, st.sampled_from(LANGS), st.integers(0, SPOKEN_BYTES - 2))
def test_swapped_and_skipped_words_are_noticed(digest: bytes, lang: str, at: int) -> None:
    said = list(words(digest, lang))
    swapped = [*said[:at], said[at + 1], said[at], *said[at + 2 :]]
    assert digest_of(swapped, lang) is None
    assert digest_of([*said[:at], *said[at + 1 :]], lang) is None


@pytest.mark.parametrize("lang", LANGS)
def test_no_two_pictures_are_alike(lang: str) -> None:
    every = {picture for byte in range(256) for picture in words(bytes((byte, byte)), lang)}
    assert len(every) == 512
    assert max(len(picture) for picture in every) <= 17
