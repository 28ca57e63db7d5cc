"""Signed records: one purpose, one key, one form; nothing else verifies (G10)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import signing
from keys.primitives import (
    NotAuthentic,
    PrekeyPrivate,
    PrekeyPublic,
    SigningKey,
    is_small_order,
    key_id,
    prekey_public,
    verify_ed25519,
)
from keys.signing import UnverifiedRecord, open_record, sign_record
from protocol.errors import RemoteError
from protocol.ids import KeyId
from tests import strategies as some
from tests.world import COUNTY_KEY, PROVINCE_KEY, seed

PURPOSES = sorted(
    {value for name, value in vars(signing).items() if isinstance(value, str) and value.startswith("relay/1/")}
)
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


def test_there_are_thirteen_purposes() -> None:
    assert len(PURPOSES) == 13


@pytest.mark.parametrize(("made_for", "read_for"), list(itertools.product(PURPOSES, PURPOSES)))
def test_g10_a_signature_for_one_purpose_verifies_for_no_other(made_for: str, read_for: str) -> None:
    record = UnverifiedRecord(sign_record(COUNTY_KEY, made_for, b"payload"), max_bytes=1_000)
    if made_for == read_for:
        record.verify(read_for, COUNTY_KEY.public())
    else:
        with pytest.raises(RemoteError) as caught:
            record.verify(read_for, COUNTY_KEY.public())
        assert caught.value.code == "BAD_SIGNATURE"


@given(st.binary(max_size=300), st.data())
def test_g10_a_changed_record_never_verifies(payload: bytes, data: st.DataObject) -> None:
    good = sign_record(COUNTY_KEY, signing.RECEIPT, payload)
    bad = data.draw(some.mutations(good))
    if bad == good:
        return
    with pytest.raises(RemoteError):
        open_record(bad, signing.RECEIPT, lambda _: COUNTY_KEY.public(), max_bytes=1_000)


def test_g10_every_single_byte_and_every_bit_counts() -> None:
    good = sign_record(COUNTY_KEY, signing.FRAME, b"payload")
    for at, bit in itertools.product(range(len(good)), range(8)):
        bad = good[:at] + bytes((good[at] ^ (1 << bit),)) + good[at + 1 :]
        with pytest.raises(RemoteError):
            open_record(bad, signing.FRAME, lambda _: COUNTY_KEY.public(), max_bytes=1_000)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_remote_error_only(data: bytes) -> None:
    with pytest.raises(RemoteError):
        UnverifiedRecord(data, max_bytes=200)


@given(some.values)
def test_arbitrary_values_raise_remote_error_only(value: object) -> None:
    from protocol import cbor

    with pytest.raises(RemoteError):
        UnverifiedRecord(cbor.dumps(value), max_bytes=10_000)


def test_the_key_id_is_handed_to_the_caller() -> None:
    def nobody(asked: KeyId) -> bytes:
        assert asked == COUNTY_KEY.key_id()
        raise RemoteError("UNKNOWN_KEY")

    with pytest.raises(RemoteError) as caught:
        open_record(sign_record(COUNTY_KEY, signing.COPY, b""), signing.COPY, nobody, max_bytes=1_000)
    assert caught.value.code == "UNKNOWN_KEY"


def small_order_encodings() -> list[bytes]:
    """The eight points, both signs of x where that is an encoding, and every y that is not below p."""
    small = [0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y]
    return [(y | sign << 255).to_bytes(32, "little") for y in [*small, *range(P, 2**255)] for sign in (0, 1)]


@pytest.mark.parametrize("public", small_order_encodings(), ids=lambda public: public.hex()[:8] + public.hex()[-4:])
def test_g10_small_order_and_odd_keys_are_refused(public: bytes) -> None:
    assert is_small_order(public)
    for signature in (bytes((1,)) + bytes(63), public + bytes(32)):
        assert not verify_ed25519(public, signature, b"anything")


@given(st.binary(max_size=40))
def test_g10_keys_of_another_length_are_refused(public: bytes) -> None:
    if len(public) != 32:
        assert is_small_order(public)
        assert not verify_ed25519(public, bytes(64), b"")


@given(st.binary(max_size=60))
def test_g10_a_malleable_signature_is_refused(data: bytes) -> None:
    signature = COUNTY_KEY.sign(data)
    scalar = int.from_bytes(signature[32:], "little")
    for other in (scalar + ORDER, scalar + 2 * ORDER, scalar | 1 << 255):
        assert not verify_ed25519(COUNTY_KEY.public(), signature[:32] + other.to_bytes(33, "little")[:32], data)
    assert verify_ed25519(COUNTY_KEY.public(), signature, data)
    assert not verify_ed25519(PROVINCE_KEY.public(), signature, data)


def test_rfc_8032_test_3() -> None:
    key = SigningKey.from_seed(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
    assert key.public().hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    assert key.sign(b"\xaf\x82").hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


def test_no_key_serves_two_suites() -> None:
    assert len({key_id(suite, bytes(32)) for suite in range(256)}) == 256
    assert prekey_public(1, seed("x"))[-32:] != prekey_public(2, seed("x"))


@given(st.integers(0, 255), st.binary(max_size=40))
def test_bytes_that_are_no_prekey_are_not_authentic(suite: int, public: bytes) -> None:
    if len(public) != 32 or suite != 2:
        with pytest.raises(NotAuthentic):
            PrekeyPublic(suite, public)


@pytest.mark.parametrize("suite", [1, 2])
@given(st.data())
def test_g10_a_wrap_opens_under_its_own_info_and_key_only(suite: int, data: st.DataObject) -> None:
    private, public = PrekeyPrivate(suite, seed("a")), PrekeyPublic(suite, prekey_public(suite, seed("a")))
    encapsulated, wrapped = public.wrap(bytes(32), b"info")
    assert private.unwrap(encapsulated, wrapped, b"info") == bytes(32)
    bad = data.draw(some.mutations(encapsulated + wrapped))
    with pytest.raises(NotAuthentic):
        private.unwrap(b"", bad, b"info")
    with pytest.raises(NotAuthentic):
        private.unwrap(encapsulated, wrapped, b"other")
    with pytest.raises(NotAuthentic):
        PrekeyPrivate(suite, seed("b")).unwrap(encapsulated, wrapped, b"info")


def test_secrets_are_not_shown() -> None:
    assert seed("county").hex() not in repr(COUNTY_KEY)
    assert repr(PrekeyPrivate(1, seed("a"))) == "PrekeyPrivate(suite=1)"
