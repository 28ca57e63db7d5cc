"""SM2 (GB/T 32918) once more, in whole numbers and by the book: another opinion than GmSSL's, and one that can be
told its random numbers, so that vectors are the same each time. For tests only: slow, and open to anyone with a watch.
"""

from typing import Final

from keys.gm import SIGNER_ID, SM4_KEY_BYTES, digest_to_sign, hkdf_sm3, sm2_secret, sm3, sm4_gcm_seal
from keys.primitives import SUITE_SM2, key_id
from protocol.ids import KeyId

P: Final = 2**256 - 2**224 - 2**96 + 2**64 - 1
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = tuple[int, int] | None
"""Affine coordinates; None is infinity."""


def add(one: Point, other: Point) -> Point:
    """The sum of two points, as GB/T 32918.1 section 3.2.3.1 draws it."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def times(number: int, point: Point) -> Point:
    """The multiple of a point, by doubling and adding."""
    total: Point = None
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def encode(point: Point) -> bytes:
    """04 || x || y."""
    assert point is not None
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def decode(data: bytes) -> Point:
    """The point of 65 bytes, whether or not it is on the curve."""
    return int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")


def sign(secret: int, digest: bytes, k: int) -> bytes:
    """r || s of GB/T 32918.2 section 6.1 for the number e = `digest`."""
    point = times(k, G)
    assert point is not None
    r = (int.from_bytes(digest, "big") + point[0]) % N
    s = pow(1 + secret, -1, N) * (k - r * secret) % N
    assert 0 not in (r, s, (r + k) % N)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """GB/T 32918.2 section 7.1."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N) or (r + s) % N == 0:
        return False
    point = add(times(s, G), times((r + s) % N, decode(public)))
    return point is not None and (int.from_bytes(digest, "big") + point[0]) % N == r


def kdf(data: bytes, length: int) -> bytes:
    """GB/T 32918.4 section 5.4.3."""
    blocks = range(1, -(-length // 32) + 1)
    return b"".join(sm3(data + number.to_bytes(4, "big")) for number in blocks)[:length]


def encrypt(public: bytes, plaintext: bytes, k: int) -> bytes:
    """C1 || C3 || C2 of GB/T 32918.4 section 6.1."""
    shared = encode(times(k, decode(public)))
    x, y = shared[1:33], shared[33:]
    mask = kdf(x + y, len(plaintext))
    hidden = bytes(one ^ other for one, other in zip(plaintext, mask, strict=True))
    return encode(times(k, G)) + sm3(x + plaintext + y) + hidden


def decrypt(secret: int, ciphertext: bytes) -> bytes | None:
    """GB/T 32918.4 section 7.1; None when the hash does not fit."""
    point, digest, hidden = ciphertext[:65], ciphertext[65:97], ciphertext[97:]
    shared = encode(times(secret, decode(point)))
    x, y = shared[1:33], shared[33:]
    plaintext = bytes(one ^ other for one, other in zip(hidden, kdf(x + y, len(hidden)), strict=True))
    return plaintext if sm3(x + plaintext + y) == digest else None


class FixedSm2Key:
    """A signer whose random number follows from key and data: the same signature each time."""

    suite: Final = SUITE_SM2

    def __init__(self, seed: bytes, signer_id: bytes = SIGNER_ID) -> None:
        self._seed, self._signer_id = seed, signer_id
        self._secret = sm2_secret(seed)
        self._public = encode(times(self._secret, G))

    def public(self) -> bytes:
        return self._public

    def key_id(self) -> KeyId:
        return key_id(SUITE_SM2, self._public)

    def sign(self, data: bytes) -> bytes:
        k = int.from_bytes(kdf(b"k" + self._seed + data, 48), "big") % (N - 1) + 1
        return sign(self._secret, digest_to_sign(self._public, data, self._signer_id), k)


class FixedSm2Public:
    """A public prekey whose wraps are the same each time, in the place of `PrekeyPublic` where bytes must repeat."""

    suite: Final = SUITE_SM2

    def __init__(self, public: bytes) -> None:
        self.public = public

    def wrap(self, key: bytes, info: bytes) -> tuple[bytes, bytes]:
        drawn = kdf(b"wrap" + self.public + key + info, 80)
        secret, k = drawn[:32], int.from_bytes(drawn[32:], "big") % (N - 1) + 1
        kek = hkdf_sm3(secret, info, SM4_KEY_BYTES)
        return encrypt(self.public, secret, k), sm4_gcm_seal(kek, bytes(12), key, b"")
