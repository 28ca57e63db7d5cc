"""Second signatures in vectors: ML-DSA draws randomness, so the one in the file is kept while it is good."""

from collections.abc import Callable
from typing import Any

from keys.mldsa import SecondKey, verify_mldsa
from protocol import cbor
from protocol.errors import RemoteError
from tests.vectors.vector import FOLDER, read_vector

FILE_BYTES = 64 * 1024


def second_signature(name: str, key: SecondKey, purpose: str, data: bytes, find: Callable[[Any], Any]) -> bytes:
    """The signature of `key` over `data`: what `find` gives of the decoded vector `name`, or a new one."""
    path = FOLDER / f"{name}.txt"
    if path.exists():
        try:
            known = find(cbor.loads(read_vector(path).data, max_bytes=FILE_BYTES))
        except (RemoteError, IndexError, TypeError):
            known = b""
        if isinstance(known, bytes) and verify_mldsa(key.public(), known, purpose, data):
            return known
    return key.sign(purpose, data)
