"""The algorithms against published vectors, and every way to bend those (G10).

Ed25519: RFC 8032 section 7.1. X25519: RFC 9180 appendix A.2 (the recipient's key pair); its
points of small order are those of Wycheproof. X-Wing: the key pairs of draft-ietf-hpke-pq's vectors. AES-256-GCM: NIST
CAVP, gcmDecrypt256, with some that must fail. HKDF: RFC 5869 appendix A.1.
"""

import pytest

from keys.primitives import (
    NotAuthentic,
    PrekeyPrivate,
    PrekeyPublic,
    SigningKey,
    aes_gcm_open,
    aes_gcm_seal,
    hkdf,
    prekey_public,
    sha256,
    verify_ed25519,
)

ORDER = 2**252 + 27742317777372353535851937790883648493

SIGNATURES = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     ("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b")),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00")),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     ("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a")),
]  # fmt: skip
GOOD_GCM = [
    ("aef220035cbb9e47ce605698aa28e3b0ba50b4ffcd473bb8da2017889b38055f", "cde7af095360ea827778761d",
     "f269837306abbcee2da1722f28be35163e3d8567", "bb1cdf25717445e5a77444d488387aeee72340deabc1589125e9e4a2755512c7",
     "9775db638e5d964fc9c70b5fe456ec14"),
    ("c4a274efbec1c6818e7e0ce44e4fe6ca4815cd2435995dd80ff0ac855eb612ac", "687305b573a5f56ce9d83a0a",
     "9459fce3860b4823a1c20b98e7f4f46fcdc0fc1d", "392bd3b883ac0705c5b33a43ebd911f2399ca7f1f6bb603c615378f9fe16e1e0",
     "87fe6e3efc6314bd99f56f84b11a01aa"),
    ("6b879203e1a23c90bc4b92e4ee42001f8466b0a168a3b09df9b644182d8242ab", "3e05199e1d56ca0b120694c8",
     "b21100419dc0a8ea58ef372e5f07e841b2ee5568", "ef4cd1b06520043c369f8324480ac846204a3a5299cef82d7a9b1748a8",
     "d167388250a59485b3dde40200"),
]  # fmt: skip
BAD_GCM = [
    ("041ef9cd359ac65b7937dcee46778d19dc32a312c81edc15dbc8918df75081f0", "4bf5a7c50201a6586b1dcdb5",
     "10980f54fdbd18e49a48cf74ecbbb7e9d22083a3", "2c24ef09b6a01b5f200c59284316fa5636c2da827d58cdc8cd3faf0a335b1846"),
    ("56d39d1bb20a39626ee52fb99fd7b8988f364edc002c36ec06daefbb352783e2", "28d6b2cbc43b34d2868eac01",
     "351d4d4afd302d13954ba0070468e712fbe14872", "8cc8788e794470f8bf291b8d761ed8f3e9a60edab0667a4439cb47e2f07af052"),
    ("de1bb0d8acd23457c593c490e45858698d9acb887cf12c4a2931ea14a010a985", "a787cb34d6f88921f036b833",
     "6ffa289ec67aa3c1f8b4068af8d9acadc434cfc2", "ca0e93b01a47910918c18f1d7aef745fdf7d78d283b39a4597ca82f8cb"),
]  # fmt: skip
SMALL_X25519 = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
    # The same with the unused highest bit set, which X25519 ignores.
    "00" * 31 + "80",
    "01" + "00" * 30 + "80",
    "ed" + "ff" * 31,
]
"""Points whose product with any private key is zero: a wrap for them would be open to everybody."""


def flipped(data: bytes) -> list[bytes]:
    """Every single bit of some bytes, flipped."""
    return [
        data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :] for at in range(len(data)) for bit in range(8)
    ]  # fmt: skip


@pytest.mark.parametrize(("seed", "public", "message", "signature"), SIGNATURES)
def test_g10_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    key, signed, data = SigningKey.from_seed(bytes.fromhex(seed)), bytes.fromhex(signature), bytes.fromhex(message)
    assert key.public().hex() == public
    assert key.sign(data) == signed
    assert verify_ed25519(key.public(), signed, data)
    assert not any(verify_ed25519(key.public(), other, data) for other in flipped(signed))
    assert not any(verify_ed25519(other, signed, data) for other in flipped(key.public()))
    assert not verify_ed25519(key.public(), signed, data + b"\0")
    for length in (0, 32, 63, 65, 96):
        assert not verify_ed25519(key.public(), (signed + signed)[:length], data)


def test_g10_a_scalar_beyond_the_order_is_no_second_signature() -> None:
    """Malleability: S + L verifies where S is not bounded (RFC 8032 section 5.1.7, Wycheproof)."""
    seed, _, message, signature = (bytes.fromhex(part) for part in SIGNATURES[2])
    public = SigningKey.from_seed(seed).public()
    scalar = int.from_bytes(signature[32:], "little")
    for times in range(1, 16):
        if (other := scalar + times * ORDER) < 2**256:
            assert not verify_ed25519(public, signature[:32] + other.to_bytes(32, "little"), message)
    for forged in (bytes(64), signature[:32] + bytes(32), bytes(32) + signature[32:], signature[32:] + signature[:32]):
        assert not verify_ed25519(public, forged, message)
    # A point that is no point of the curve, and one with a second encoding, in the place of R.
    for point in ((2).to_bytes(32, "little"), (2**255 - 19 + 1).to_bytes(32, "little")):
        assert not verify_ed25519(public, point + signature[32:], message)


@pytest.mark.parametrize(("key", "nonce", "aad", "sealed", "plain"), GOOD_GCM)
def test_g10_nist_gcm_and_every_flipped_bit(key: str, nonce: str, aad: str, sealed: str, plain: str) -> None:
    k, n, a, s = (bytes.fromhex(part) for part in (key, nonce, aad, sealed))
    assert aes_gcm_seal(k, n, bytes.fromhex(plain), a) == s
    assert aes_gcm_open(k, n, s, a).hex() == plain
    bent = [(k, n, other, a) for other in flipped(s)] + [(k, n, s, other) for other in flipped(a)]
    bent += [(k, other, s, a) for other in flipped(n)] + [(other, n, s, a) for other in flipped(k)]
    bent += [(k, n, s[:cut], a) for cut in range(len(s))] + [(k, n, s, b""), (k, n, s + b"\0", a)]
    for arguments in bent:
        with pytest.raises(NotAuthentic):
            aes_gcm_open(*arguments)


@pytest.mark.parametrize(("key", "nonce", "aad", "sealed"), BAD_GCM)
def test_g10_nist_gcm_that_must_fail(key: str, nonce: str, aad: str, sealed: str) -> None:
    k, n, a, s = (bytes.fromhex(part) for part in (key, nonce, aad, sealed))
    with pytest.raises(NotAuthentic):
        aes_gcm_open(k, n, s, a)


def test_rfc_5869_expands() -> None:
    key = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert hkdf(key, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"), 42).hex() == expected


def test_rfc_9180_key_pair() -> None:
    private = bytes.fromhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
    public = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
    assert prekey_public(2, private).hex() == public


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        ("3ec47fa82dd5689d27c6190e724c74ec8f608df3331ce331929e37b829676630",
         "ad8aaf3f00d8a39bfeec2947a7d5dde68be08bba19bd301a348a45dc5fcc8341"),
        ("8f908710ee25a3aa6fd3ed80eb5bf102963547bf4fe36d86f772432ac383e6e9",
         "404a519065c5818eaf431ba78a961e2c59919cc8b2bce92c6b76e438dcc345bd"),
    ],
)  # fmt: skip
def test_x_wing_key_pairs(seed: str, digest: str) -> None:
    """ML-KEM comes first in the public key, X25519 last; both follow from one seed."""
    assert sha256(prekey_public(1, bytes.fromhex(seed))).hex() == digest


@pytest.mark.parametrize("point", SMALL_X25519)
def test_g10_points_of_small_order_are_sealed_to_and_opened_by_nobody(point: str) -> None:
    with pytest.raises(NotAuthentic):
        PrekeyPublic(2, bytes.fromhex(point)).wrap(bytes(32), b"info")
    private = PrekeyPrivate(2, bytes(range(32)))
    with pytest.raises(NotAuthentic):
        private.unwrap(bytes.fromhex(point), bytes(48), b"info")
