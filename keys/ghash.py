"""The arithmetic of GCM's tag, for finding the one bit of a ciphertext that flipped (NIST SP 800-38D, section 6).

GHASH is linear: a flipped bit of the block that is k multiplications from the end changes the tag by that bit times
H^k, in GF(2^128). Nothing here decides what is authentic, and no time of it is secret: whoever holds the store's key
asks, about a row that does not open.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

BLOCK_BYTES: Final = 16
_BITS: Final = 128
_ONE: Final = 1 << 127
"""The element 1: GCM writes the coefficient of x^0 as the first, highest bit of a block."""
_REDUCTION: Final = 0xE1 << 120
"""x^128 = 1 + x + x^2 + x^7, in that order of bits."""

Table: TypeAlias = list[list[int]]
"""For each of the 16 bytes of a block, the products of its 256 values with one fixed element."""


def multiply(left: int, right: int) -> int:
    """The product of two elements (algorithm 1)."""
    product = 0
    for bit in range(_BITS - 1, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = _times_x(right)
    return product


def inverse(element: int) -> int:
    """The element whose product with this one is 1: its power 2^128 - 2 (Fermat); 0 for 0."""
    power, square = _ONE, element
    for _ in range(_BITS - 1):
        square = multiply(square, square)
        power = multiply(power, square)
    return power


def tabulate(element: int) -> Table:
    """The products of an element that many others are multiplied with; 4,096 of them."""
    table: Table = []
    for _ in range(BLOCK_BYTES):
        row = [0] * 256
        for bit in range(7, -1, -1):
            row[1 << bit] = element
            element = _times_x(element)
        for value in range(256):
            lowest = value & -value
            row[value] = row[lowest] ^ row[value ^ lowest] if value != lowest else row[value]
        table.append(row)
    return table


def times(element: int, table: Table) -> int:
    """The product of an element with that of the table."""
    product = 0
    for row, byte in zip(table, element.to_bytes(BLOCK_BYTES, "big"), strict=True):
        product ^= row[byte]
    return product


def ghash(subkey: int, associated: bytes, ciphertext: bytes) -> int:
    """GHASH over associated data, ciphertext and their lengths (algorithm 2, section 7.1 step 5)."""
    table = tabulate(subkey)
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    digest = 0
    for part in (associated, ciphertext, lengths):
        for start in range(0, len(part), BLOCK_BYTES):
            block = part[start : start + BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0")
            digest = times(digest ^ int.from_bytes(block, "big"), table)
    return digest


def find_flips(subkey: int, difference: int, size: int) -> Iterator[tuple[int, int]]:
    """(byte, mask) of each single bit of `size` bytes of ciphertext whose flip changes the tag by `difference`.

    There is one at most, but for a chance of 2^-100; the caller opens what it mended.
    """
    divide = tabulate(inverse(subkey))
    # The lengths come after the ciphertext, so that its last block is two multiplications from the end.
    quotient = times(difference, divide)
    for start in reversed(range(0, size, BLOCK_BYTES)):
        quotient = times(quotient, divide)
        if quotient and not quotient & (quotient - 1):
            at, bit = divmod(_BITS - quotient.bit_length(), 8)
            if start + at < size:
                yield start + at, 0x80 >> bit


def _times_x(element: int) -> int:
    return element >> 1 ^ (_REDUCTION if element & 1 else 0)
