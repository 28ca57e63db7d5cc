"""Hostile bytes at the door of the library for SM2: signatures, wraps and points."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Final

from keys.gm import verify_sm2
from keys.primitives import NotAuthentic
from keys.sm2_curve import is_point
from keys.sm2_forms import SIGNATURE_BYTES
from tests.sm_world import PREKEY, PREKEY_PUBLIC, PROVINCE_KEY

PRESENT: Final = importlib.util.find_spec("gmssl_pyx") is not None
"""Whether the library is installed; without it there is nothing to fuzz."""


def signed(data: bytes) -> bytes:
    """64 bytes of a signature by the province, and what it signed, which comes back; raises `NotAuthentic`."""
    signature, rest = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if not verify_sm2(PROVINCE_KEY.public(), signature, rest):
        raise NotAuthentic
    return rest


def unwrapped(data: bytes) -> bytes:
    """129 bytes of an encapsulated secret, then the wrapped key, which comes back; raises `NotAuthentic`."""
    return PREKEY.unwrap(data[:129], data[129:], b"info")


def point(data: bytes) -> bytes:
    """A public key, as it is; raises `NotAuthentic`."""
    if not is_point(data):
        raise NotAuthentic
    return data


def _signatures() -> Iterator[bytes]:
    for data in (b"", b"report"):
        yield PROVINCE_KEY.sign(data) + data


def _wraps() -> Iterator[bytes]:
    yield b"".join(PREKEY_PUBLIC.wrap(bytes(16), b"info"))


def _points() -> Iterator[bytes]:
    yield from (PROVINCE_KEY.public(), PREKEY_PUBLIC.public)


SAMPLES: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "sm2-signature": _signatures,
    "sm2-wrap": _wraps,
    "sm2-point": _points,
}
