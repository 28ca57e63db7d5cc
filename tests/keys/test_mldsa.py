"""The second signature: one key, one purpose, one text."""

from hypothesis import given
from hypothesis import strategies as st

from keys.mldsa import PUBLIC_BYTES, SIGNATURE_BYTES, SecondKey, verify_mldsa

KEY = SecondKey.from_seed(bytes(range(32)))
TEXT = b"what is signed"
SIGNATURE = KEY.sign("relay/1/test", TEXT)


def test_g10_second_signature_verifies_for_its_purpose_only() -> None:
    assert (len(KEY.public()), len(SIGNATURE)) == (PUBLIC_BYTES, SIGNATURE_BYTES)
    assert verify_mldsa(KEY.public(), SIGNATURE, "relay/1/test", TEXT)
    assert not verify_mldsa(KEY.public(), SIGNATURE, "relay/1/other", TEXT)
    assert not verify_mldsa(SecondKey.from_seed(bytes(32)).public(), SIGNATURE, "relay/1/test", TEXT)


@given(st.integers(0, SIGNATURE_BYTES * 8 - 1))
def test_g10_one_bit_of_a_second_signature_is_enough(bit: int) -> None:
    bent = bytearray(SIGNATURE)
    bent[bit // 8] ^= 1 << bit % 8
    assert not verify_mldsa(KEY.public(), bytes(bent), "relay/1/test", TEXT)


@given(st.binary(max_size=2 * SIGNATURE_BYTES), st.binary(max_size=2 * PUBLIC_BYTES))
def test_g10_second_signatures_and_keys_of_any_form_do_no_harm(signature: bytes, public: bytes) -> None:
    assert not verify_mldsa(public, signature, "relay/1/test", TEXT)
    assert not verify_mldsa(KEY.public(), signature, "relay/1/test", TEXT)


def test_g11_a_second_key_does_not_show_its_seed() -> None:
    assert bytes(range(32)).hex() not in repr(KEY)
    assert SecondKey.from_seed(KEY.seed()).public() == KEY.public()
