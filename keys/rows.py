"""Seals the rows of the store under the storage key (DESIGN D10, G3, G11).

SQLite does not notice a flipped bit and shows every column to whoever holds the disk. Each row therefore
carries an AEAD over its body, bound to the row's table, key, version and clear columns.
"""

from typing import Final

from keys.primitives import NotAuthentic, aes_gcm_open, aes_gcm_seal, hkdf

STORAGE_KEY_BYTES: Final = 32
SALT_BYTES: Final = 24
"""Fresh random bytes per sealing. 192 bits: no repeat is to be expected before 2^96 sealings."""

OVERHEAD_BYTES: Final = SALT_BYTES + 16
"""What sealing adds to a body: the salt and the GCM tag."""

_NONCE: Final = bytes(12)
"""Fixed: every sealing has a key of its own, so that a (key, nonce) pair never repeats.

A stored counter would repeat after a restore of an old backup (G12), and 96 random bits under one
key are too few for the life of a province's store.
"""


class RowDamaged(Exception):
    """A stored row does not open: altered, swapped, of another version, or sealed under another key.

    `table` and `key` name the row when they are known.
    """

    def __init__(self, table: str = "", key: tuple[object, ...] = ()) -> None:
        super().__init__(f"a row of {table or 'the store'} does not open")
        self.table = table
        self.key = key


class RowCipher:
    """Seals and opens rows under one 32-byte storage key."""

    __slots__ = ("_master_key",)

    def __init__(self, master_key: bytes) -> None:
        """Raises `ValueError` unless the key has 32 bytes."""
        if len(master_key) != STORAGE_KEY_BYTES:
            raise ValueError("the storage key has 32 bytes")
        self._master_key = master_key

    def seal(self, associated: bytes, plaintext: bytes, entropy: bytes) -> bytes:
        """Salt, ciphertext and tag; `entropy` is 24 random bytes that are never used again."""
        if len(entropy) != SALT_BYTES:
            raise ValueError("sealing a row takes 24 random bytes")
        return entropy + aes_gcm_seal(hkdf(self._master_key, entropy, 32), _NONCE, plaintext, associated)

    def open(self, associated: bytes, sealed: bytes) -> bytes:
        """The plaintext; raises `RowDamaged` when anything differs from what was sealed."""
        if len(sealed) < OVERHEAD_BYTES:
            raise RowDamaged
        key = hkdf(self._master_key, sealed[:SALT_BYTES], 32)
        try:
            return aes_gcm_open(key, _NONCE, sealed[SALT_BYTES:], associated)
        except NotAuthentic as error:
            raise RowDamaged from error

    def opens(self, associated: bytes, sealed: bytes) -> bool:
        """Whether it opens."""
        try:
            self.open(associated, sealed)
        except RowDamaged:
            return False
        return True

    def mend(self, associated: bytes, sealed: bytes) -> bytes | None:
        """What was sealed, when exactly one bit of it is wrong now: the only such neighbour that opens; else None."""
        flipped = bytearray(sealed)
        if len(flipped) < OVERHEAD_BYTES:
            return None
        key = hkdf(self._master_key, sealed[:SALT_BYTES], 32)
        for bit in range(8 * len(flipped)):
            flipped[bit // 8] ^= 1 << bit % 8
            if bit < 8 * SALT_BYTES:
                opened = self.opens(associated, bytes(flipped))
            else:
                opened = _opens(key, bytes(flipped[SALT_BYTES:]), associated)
            if opened:
                return bytes(flipped)
            flipped[bit // 8] ^= 1 << bit % 8
        return None

    def __repr__(self) -> str:
        return "RowCipher(…)"


def _opens(key: bytes, ciphertext: bytes, associated: bytes) -> bool:
    """Whether a ciphertext opens under a row's own key."""
    try:
        aes_gcm_open(key, _NONCE, ciphertext, associated)
    except NotAuthentic:
        return False
    return True
