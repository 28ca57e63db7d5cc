"""SM2, SM3 and SM4-GCM against the standards' examples, against a second implementation, and bent in every way (G10).

SM2: GB/T 32918.5, appendix A (the recommended curve). SM3: GB/T 32905, appendix A. SM4-GCM: RFC 8998, appendix A.1.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.gm import (
    SIGNER_ID,
    Sm2Key,
    Sm2Private,
    Sm2Public,
    digest_to_sign,
    hkdf_sm3,
    sm2_public,
    sm2_secret,
    sm3,
    sm4_gcm_open,
    sm4_gcm_seal,
    verify_sm2,
)
from keys.primitives import NotAuthentic, PrekeyPublic, is_signing_key, key_id
from keys.sm2_curve import GX, GY, N, P, is_point, public_of
from keys.sm2_forms import ciphertext_from_der, ciphertext_to_der, signature_from_der, signature_to_der
from tests import sm2
from tests.gm import needs_gm
from tests.keys.test_known_vectors import flipped

pytestmark = needs_gm

STANDARD_ID = b"1234567812345678"
SECRET = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
PUBLIC = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
K = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
E = bytes.fromhex("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
CIPHERTEXT = bytes.fromhex(
    "0404EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73"
    "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
    "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766"
    "21886CA989CA9C7D58087307CA93092D651EFA"
)

seeds = st.binary(min_size=32, max_size=32)


def library() -> object:
    import gmssl_pyx

    return gmssl_pyx


def test_gbt_32918_2_example_of_a_signature() -> None:
    assert public_of(SECRET) == PUBLIC
    assert digest_to_sign(PUBLIC, b"message digest", STANDARD_ID) == E
    assert sm2.sign(SECRET, E, K) == SIGNATURE
    assert sm2.verify(PUBLIC, E, SIGNATURE)
    verify = library().sm2_verify_sm3_digest  # type: ignore[attr-defined]
    assert verify(PUBLIC[1:], E, signature_to_der(SIGNATURE))
    assert not verify(PUBLIC[1:], sm3(E), signature_to_der(SIGNATURE))


def test_gbt_32918_4_example_of_an_encryption() -> None:
    assert sm2.encrypt(PUBLIC, b"encryption standard", K) == CIPHERTEXT
    assert sm2.decrypt(SECRET, CIPHERTEXT) == b"encryption standard"
    decrypt = library().sm2_decrypt  # type: ignore[attr-defined]
    assert decrypt(SECRET.to_bytes(32, "big"), ciphertext_to_der(CIPHERTEXT)) == b"encryption standard"


def test_gbt_32905_examples() -> None:
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_g10_rfc_8998_and_every_flipped_bit() -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    nonce = bytes.fromhex("00001234567800000000abcd")
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plain = b"".join(bytes((byte,)) * 8 for byte in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA))
    sealed = bytes.fromhex(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert sm4_gcm_seal(key, nonce, plain, aad) == sealed
    assert sm4_gcm_open(key, nonce, sealed, aad) == plain
    bent = [(key, nonce, other, aad) for other in flipped(sealed)] + [(key, nonce, sealed, o) for o in flipped(aad)]
    bent += [(key, other, sealed, aad) for other in flipped(nonce)] + [(o, nonce, sealed, aad) for o in flipped(key)]
    bent += [(key, nonce, sealed[:cut], aad) for cut in range(len(sealed))]
    for arguments in bent:
        with pytest.raises(NotAuthentic):
            sm4_gcm_open(*arguments)


@settings(max_examples=30)
@given(seeds, st.binary(max_size=200))
def test_g10_signatures_agree_with_the_second_implementation(seed: bytes, data: bytes) -> None:
    key, fixed = Sm2Key.from_seed(seed), sm2.FixedSm2Key(seed)
    assert key.public() == fixed.public() == sm2_public(seed)
    assert key.key_id() == fixed.key_id() == key_id(3, key.public())
    assert is_signing_key(3, key.public())
    by_library, by_book = key.sign(data), fixed.sign(data)
    assert len(by_library) == len(by_book) == 64
    assert sm2.verify(key.public(), digest_to_sign(key.public(), data), by_library)
    assert verify_sm2(key.public(), by_book, data)
    assert not verify_sm2(key.public(), by_book, data + b"\0")
    assert not verify_sm2(sm2_public(sm3(seed)), by_book, data)


@settings(max_examples=30)
@given(seeds, seeds, st.binary(max_size=100))
def test_g10_wraps_agree_with_the_second_implementation(seed: bytes, key: bytes, info: bytes) -> None:
    public, private = sm2_public(seed), Sm2Private(seed)
    for wrapper in (Sm2Public(public), sm2.FixedSm2Public(public)):
        encapsulated, wrapped = wrapper.wrap(key[:16], info)
        assert (len(encapsulated), len(wrapped)) == (129, 32)
        assert private.unwrap(encapsulated, wrapped, info) == key[:16]
        secret = sm2.decrypt(sm2_secret(seed), encapsulated)
        assert secret is not None
        assert sm4_gcm_open(hkdf_sm3(secret, info, 16), bytes(12), wrapped, b"") == key[:16]
        for bad in ((encapsulated, wrapped, info + b"\0"), (encapsulated[:-1], wrapped, info)):
            with pytest.raises(NotAuthentic):
                private.unwrap(*bad)


def test_g10_a_signature_or_wrap_with_any_bit_flipped_is_refused() -> None:
    key, private = sm2.FixedSm2Key(bytes(32)), Sm2Private(bytes(32))
    signature = key.sign(b"report")
    encapsulated, wrapped = sm2.FixedSm2Public(key.public()).wrap(bytes(16), b"info")
    assert private.unwrap(encapsulated, wrapped, b"info") == bytes(16)
    assert not any(verify_sm2(key.public(), bad, b"report") for bad in flipped(signature))
    assert not any(verify_sm2(bad, signature, b"report") for bad in flipped(key.public()))
    for bad in [(one, wrapped) for one in flipped(encapsulated)] + [(encapsulated, one) for one in flipped(wrapped)]:
        with pytest.raises(NotAuthentic):
            private.unwrap(*bad, b"info")


def test_g10_the_default_id_signs_nothing_here() -> None:
    key, other = sm2.FixedSm2Key(bytes(32)), sm2.FixedSm2Key(bytes(32), STANDARD_ID)
    assert SIGNER_ID == b"relay/1"
    assert verify_sm2(key.public(), key.sign(b"x"), b"x")
    assert not verify_sm2(key.public(), other.sign(b"x"), b"x")


def _halves(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_g10_numbers_out_of_range_and_second_forms_are_no_signature() -> None:
    key = sm2.FixedSm2Key(bytes(32))
    signature = key.sign(b"x")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    bad = [_halves(*pair) for pair in ((0, s), (r, 0), (N, s), (r, N), (r, N - s), (N - r, s), (r, N - r), (0, 0))]
    bad += [_halves(x, y) for x, y in ((r + N, s), (r, s + N)) if max(x, y) < 2**256]
    bad += [signature[:63], signature + b"\0", b"", signature_to_der(signature) or b""]
    assert not any(verify_sm2(key.public(), one, b"x") for one in bad)
    assert verify_sm2(key.public(), signature, b"x")


def test_g10_only_points_of_the_curve_are_keys() -> None:
    good = sm2_public(bytes(32))
    x, y = sm2.decode(good) or (0, 0)
    for bad in (
        b"\0", b"\x04" + bytes(64), good[1:], b"\x03" + good[1:33], b"\x02" + good[1:], good + b"\0", good[:-1],
        sm2.encode((x, y ^ 1)), sm2.encode((x ^ 1, y)), b"\x04" + (P + 1).to_bytes(32, "big") + good[33:], b"",
        b"\x04" + b"\xff" * 64, b"\x04" + P.to_bytes(32, "big") * 2,
    ):  # fmt: skip
        assert not is_point(bad)
        assert not is_signing_key(3, bad)
        assert not verify_sm2(bad, sm2.FixedSm2Key(bytes(32)).sign(b"x"), b"x")
        with pytest.raises(NotAuthentic):
            PrekeyPublic(3, bad)
        encapsulated, wrapped = sm2.FixedSm2Public(good).wrap(bytes(16), b"")
        with pytest.raises(NotAuthentic):
            Sm2Private(bytes(32)).unwrap(bad + encapsulated[65:], wrapped, b"")
    assert is_point(good)


def test_secrets_at_the_ends_of_their_range() -> None:
    base = sm2.encode((GX, GY))
    assert public_of(1) == base
    for secret in (2, 3, 4, 5, N // 2, N - 3, N - 2):
        assert public_of(secret) == sm2.encode(sm2.times(secret, sm2.G))
    for wrong in (0, -1, N - 1, N, N + 1):
        with pytest.raises(ValueError, match="from 1 to n - 2"):
            public_of(wrong)
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match="32 bytes"):
            Sm2Key.from_seed(bytes(length))


@given(seeds)
def test_every_seed_is_a_key(seed: bytes) -> None:
    assert 1 <= sm2_secret(seed) <= N - 2
    key = Sm2Key.from_seed(seed)
    assert key.seed() == seed
    assert seed.hex() not in repr(key)
    assert key.suite == 3


@given(st.integers(1, N - 1), st.integers(1, N - 1), st.binary(min_size=1, max_size=100))
def test_der_and_raw_forms_are_two_forms_of_one_thing(r: int, s: int, hidden: bytes) -> None:
    if r + s != N:
        raw = _halves(r, s)
        assert signature_from_der(signature_to_der(raw) or b"") == raw
    raw = sm2_public(bytes(32)) + sm3(hidden) + hidden
    assert ciphertext_from_der(ciphertext_to_der(raw) or b"") == raw


@given(st.binary(max_size=200))
def test_what_is_not_der_is_a_value_error(junk: bytes) -> None:
    for read in (signature_from_der, ciphertext_from_der):
        with pytest.raises(ValueError):  # noqa: PT011 - any words
            read(junk)


@pytest.mark.parametrize(
    "der",
    [
        "", "30", "3000", "3003020101", "300602010102", "3006020101020102ff",
        "30070201010202000f", "300602010102810102",
        "30060201ff020101", "308106020101020101",
        "3106020101020101", "3006020101030101",
        "3026020101022101" + "00" * 32,
    ],
)  # fmt: skip
def test_other_forms_of_a_der_signature_are_refused(der: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any words
        signature_from_der(bytes.fromhex(der))


def test_many_threads_sign_verify_and_unwrap_at_once() -> None:
    """As the daemon's worker threads do; GmSSL keeps Python's lock meanwhile, and nothing of one call meets another."""

    def work(number: int) -> bool:
        seed, data = sm3(bytes((number,))), bytes((number,)) * 40
        key, prekey = Sm2Key(seed), sm2_public(seed)
        done = []
        for _ in range(8):
            encapsulated, wrapped = Sm2Public(prekey).wrap(data[:16], data)
            done.append(Sm2Private(seed).unwrap(encapsulated, wrapped, data) == data[:16])
            done.append(verify_sm2(key.public(), key.sign(data), data))
            done.append(not verify_sm2(key.public(), key.sign(data), data[1:]))
        return all(done)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(24)))


def test_failed_verifications_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    key = sm2.FixedSm2Key(bytes(32))
    encapsulated, wrapped = sm2.FixedSm2Public(key.public()).wrap(bytes(16), b"")
    for _ in range(3):
        assert not verify_sm2(key.public(), key.sign(b"x"), b"y")
        with pytest.raises(NotAuthentic):
            Sm2Private(bytes(32)).unwrap(encapsulated[:-1] + bytes((encapsulated[-1] ^ 1,)), wrapped, b"")
    assert capfd.readouterr() == ("", "")
