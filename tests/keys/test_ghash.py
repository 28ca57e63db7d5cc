"""GHASH is that of AES-GCM, and its algebra finds the one bit of a sealed row that flipped (G1, D10)."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ghash import find_flips, ghash, inverse, multiply, tabulate, times
from keys.primitives import aes_block, aes_gcm_seal
from keys.rows import OVERHEAD_BYTES, RowCipher

LARGEST = 70 * 1024
CIPHER = RowCipher(bytes(range(32)))
ELEMENTS = st.integers(1, 2**128 - 1)
ONE = 1 << 127


def flip(data: bytes, *bits: int) -> bytes:
    flipped = bytearray(data)
    for bit in bits:
        flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@settings(max_examples=100)
@given(key=st.binary(min_size=32, max_size=32), associated=st.binary(max_size=100), plaintext=st.binary(max_size=300))
def test_ghash_makes_the_tag_that_aes_gcm_makes(key: bytes, associated: bytes, plaintext: bytes) -> None:
    sealed = aes_gcm_seal(key, bytes(12), plaintext, associated)
    subkey = int.from_bytes(aes_block(key, bytes(16)), "big")
    mask = int.from_bytes(aes_block(key, bytes(15) + b"\1"), "big")
    assert (ghash(subkey, associated, sealed[:-16]) ^ mask).to_bytes(16, "big") == sealed[-16:]


@given(left=ELEMENTS, right=ELEMENTS, third=ELEMENTS)
def test_elements_form_a_field(left: int, right: int, third: int) -> None:
    assert multiply(left, right) == multiply(right, left) == times(left, tabulate(right))
    assert multiply(left, right ^ third) == multiply(left, right) ^ multiply(left, third)
    assert multiply(left, inverse(left)) == ONE
    assert multiply(left, ONE) == left


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 2_000), data=st.data())
def test_a_difference_names_its_bit_and_no_other(seed: int, size: int, data: st.DataObject) -> None:
    # Random as those of AES are: under the element 1 every block would answer alike.
    subkey = random.Random(seed).getrandbits(128)
    bit = data.draw(st.integers(0, 8 * size - 1))
    difference = ghash(subkey, b"a", bytes(size)) ^ ghash(subkey, b"a", flip(bytes(size), bit))
    assert list(find_flips(subkey, difference, size)) == [(bit // 8, 1 << bit % 8)]


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, LARGEST), seed=st.integers(0, 2**32), data=st.data())
def test_g01_one_flipped_bit_of_a_sealed_row_of_any_size_is_mended(size: int, seed: int, data: st.DataObject) -> None:
    sealed = CIPHER.seal(b"row", random.Random(seed).randbytes(size), random.Random(seed).randbytes(24))
    bit = data.draw(st.integers(0, 8 * (size + OVERHEAD_BYTES) - 1))
    assert CIPHER.mend(b"row", flip(sealed, bit)) == sealed


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, LARGEST), data=st.data())
def test_g03_two_flipped_bits_are_not_mended(size: int, data: st.DataObject) -> None:
    sealed = CIPHER.seal(b"row", bytes(size), bytes(24))
    bits = st.integers(0, 8 * len(sealed) - 1)
    two = data.draw(st.lists(bits, min_size=2, max_size=2, unique=True))
    assert CIPHER.mend(b"row", flip(sealed, *two)) is None
