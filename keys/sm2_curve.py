"""The curve of SM2 (GB/T 32918.5, `sm2p256v1`): which bytes are a public key, and which key belongs to a secret number.

Whole numbers only, so that rosters with SM2 keys are checked where the extra `gm` is not installed. What is done often
or with messages is done in keys/gm.py; a public key is computed here once when a key is made or opened.
"""

import secrets
from typing import Final

P: Final = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_00000000_FFFFFFFF_FFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E_9D9F5E34_4D5A9E4B_CF6509A7_F39789F5_15AB8F92_DDBCBD41_4D940E93
N: Final = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_7203DF6B_21C6052B_53BBF409_39D54123
"""The order of the group, a prime: every point of the curve but infinity has it, so there are no small subgroups."""

GX: Final = 0x32C4AE2C_1F198119_5F990446_6A39C994_8FE30BBF_F2660BE1_715A4589_334C74C7
GY: Final = 0xBC3736A2_F4F6779C_59BDCEE3_6B692153_D0A9877C_C62A4740_02DF32E5_2139F0A0

NUMBER_BYTES: Final = 32
POINT_BYTES: Final = 1 + 2 * NUMBER_BYTES
"""An uncompressed point, 04 || x || y (GB/T 32918.1, 4.2.8). The only form: checking it takes no square root."""

_BLIND_BITS: Final = 64

_Point = tuple[int, int, int]
"""Homogeneous coordinates: x/z and y/z, or infinity when z is 0."""


def is_point(data: bytes) -> bool:
    """Whether these are the 65 bytes of a point: coordinates below p, on the curve. Infinity has no such form."""
    if len(data) != POINT_BYTES or data[0] != 4:
        return False
    x = int.from_bytes(data[1 : 1 + NUMBER_BYTES])
    y = int.from_bytes(data[1 + NUMBER_BYTES :])
    return x < P and y < P and (y * y - (x * x + A) * x - B) % P == 0


def public_of(secret: int) -> bytes:
    """The 65 bytes of `secret` times the base point, for 1 ≤ `secret` ≤ n - 2; raises `ValueError` for another.

    What is multiplied is secret + r·n, in randomised coordinates and with the same steps for every bit, so that what
    can be measured of it says little of the secret.
    """
    if not 1 <= secret <= N - 2:
        raise ValueError("an SM2 secret is a number from 1 to n - 2")
    scalar = secret + (1 << _BLIND_BITS | secrets.randbits(_BLIND_BITS)) * N
    z = 1 + secrets.randbelow(P - 1)
    # Montgomery's ladder: `high` is always `low` plus the base point.
    low, high = (0, 1, 0), (GX * z % P, GY * z % P, z)
    for bit in range(scalar.bit_length() - 1, -1, -1):
        both = _sum(low, high)
        low, high = (both, _sum(high, high)) if scalar >> bit & 1 else (_sum(low, low), both)
    x, y, z = low
    inverse = pow(z, -1, P)
    return b"\x04" + (x * inverse % P).to_bytes(NUMBER_BYTES) + (y * inverse % P).to_bytes(NUMBER_BYTES)


def _sum(one: _Point, other: _Point) -> _Point:
    """The sum of any two points, equal or infinite ones too (Renes, Costello, Batina 2015/1060, equation (3))."""
    x1, y1, z1 = one
    x2, y2, z2 = other
    xx, yy, zz = x1 * x2 % P, y1 * y2 % P, z1 * z2 % P
    xy, xz, yz = x1 * y2 + x2 * y1, x1 * z2 + x2 * z1, y1 * z2 + y2 * z1
    middle = (A * xz + 3 * B * zz) % P
    above, below = yy + middle, yy - middle
    slope = 3 * xx + A * zz
    rest = (A * xx + 3 * B * xz - A * A * zz) % P
    return (xy * below - yz * rest) % P, (slope * rest + above * below) % P, (yz * above + xy * slope) % P
