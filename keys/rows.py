"""Seals the rows of the store under the storage key (DESIGN D10, G3, G11).

SQLite does not notice a flipped bit and shows every column to whoever holds the disk. Each row therefore
carries an AEAD over its body, bound to the row's table, key, version and clear columns.
"""

from collections.abc import Iterator
from typing import Final

from keys.ghash import BLOCK_BYTES, find_flips, ghash
from keys.primitives import NotAuthentic, aes_block, aes_gcm_open, aes_gcm_seal, hkdf

STORAGE_KEY_BYTES: Final = 32
SALT_BYTES: Final = 24
"""Fresh random bytes per sealing. 192 bits: no repeat is to be expected before 2^96 sealings."""

TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = SALT_BYTES + TAG_BYTES
"""What sealing adds to a body: the salt and the GCM tag."""

_NONCE: Final = bytes(12)
"""Fixed: every sealing has a key of its own, so that a (key, nonce) pair never repeats.

A stored counter would repeat after a restore of an old backup (G12), and 96 random bits under one
key are too few for the life of a province's store.
"""

_SALT_FLIPS: Final = tuple((at, 1 << bit) for at in range(SALT_BYTES) for bit in range(8))


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
        """What was sealed, when exactly one bit of it is wrong now: the only such neighbour that opens; else None.

        The salt's bits are tried, since each makes another key. One of the ciphertext or tag is computed from the
        difference between the tag that is there and the one that should be (keys/ghash.py); the seal has the last word.
        """
        if len(sealed) < OVERHEAD_BYTES:
            return None
        for at, mask in (*self._flips(associated, sealed), *_SALT_FLIPS):
            mended = bytearray(sealed)
            mended[at] ^= mask
            if self.opens(associated, bytes(mended)):
                return bytes(mended)
        return None

    def _flips(self, associated: bytes, sealed: bytes) -> Iterator[tuple[int, int]]:
        """(byte, mask) of the bits of ciphertext and tag that can be the wrong one."""
        key = hkdf(self._master_key, sealed[:SALT_BYTES], 32)
        ciphertext, tag = sealed[SALT_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
        subkey = int.from_bytes(aes_block(key, bytes(BLOCK_BYTES)), "big")
        mask_of_tag = int.from_bytes(aes_block(key, _NONCE + b"\0\0\0\1"), "big")
        difference = ghash(subkey, associated, ciphertext) ^ mask_of_tag ^ int.from_bytes(tag, "big")
        if difference.bit_count() == 1:
            at, bit = divmod(8 * TAG_BYTES - difference.bit_length(), 8)
            yield len(sealed) - TAG_BYTES + at, 0x80 >> bit
        for at, mask in find_flips(subkey, difference, len(ciphertext)):
            yield SALT_BYTES + at, mask

    def __repr__(self) -> str:
        return "RowCipher(…)"
