"""The two forms of an SM2 signature or ciphertext: raw on our wire (GB/T 32918), DER in the library (GM/T 0009).

Raw forms have one length and one meaning each. Whatever comes from outside is raw, and only from numbers that were
checked here is DER made for the library's parser; what the library makes is read back just as strictly.
"""

from typing import Final

from keys.sm2_curve import NUMBER_BYTES, POINT_BYTES, N, is_point

SIGNATURE_BYTES: Final = 2 * NUMBER_BYTES
"""r || s, big-endian."""

HASH_BYTES: Final = 32
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04


def signature_to_der(raw: bytes) -> bytes | None:
    """The DER of r || s; None unless there are 64 bytes with r and s from 1 to n - 1 and r + s is not n."""
    if len(raw) != SIGNATURE_BYTES:
        return None
    r, s = int.from_bytes(raw[:NUMBER_BYTES]), int.from_bytes(raw[NUMBER_BYTES:])
    if not (0 < r < N and 0 < s < N) or r + s == N:
        return None
    return _tagged(_SEQUENCE, _integer(r) + _integer(s))


def signature_from_der(der: bytes) -> bytes:
    """Read r || s of the library's signature; raises `ValueError` for any other form."""
    reader = _Reader(_Reader(der).only(_SEQUENCE))
    r, s = reader.next(_INTEGER), reader.last(_INTEGER)
    raw = _number(r) + _number(s)
    if signature_to_der(raw) != der:
        raise ValueError("not the DER of an SM2 signature")
    return raw


def ciphertext_to_der(raw: bytes) -> bytes | None:
    """The DER of C1 || C3 || C2; None when C1 is no point of the curve or nothing follows C3."""
    point, digest, masked = raw[:POINT_BYTES], raw[POINT_BYTES:][:HASH_BYTES], raw[POINT_BYTES + HASH_BYTES :]
    if not masked or not is_point(point):
        return None
    x, y = int.from_bytes(point[1 : 1 + NUMBER_BYTES]), int.from_bytes(point[1 + NUMBER_BYTES :])
    return _tagged(_SEQUENCE, _integer(x) + _integer(y) + _tagged(_OCTETS, digest) + _tagged(_OCTETS, masked))


def ciphertext_from_der(der: bytes) -> bytes:
    """C1 || C3 || C2 of the library's ciphertext; raises `ValueError` for any other form."""
    reader = _Reader(_Reader(der).only(_SEQUENCE))
    x, y = reader.next(_INTEGER), reader.next(_INTEGER)
    digest, masked = reader.next(_OCTETS), reader.last(_OCTETS)
    raw = b"\x04" + _number(x) + _number(y) + digest + masked
    if len(digest) != HASH_BYTES or ciphertext_to_der(raw) != der:
        raise ValueError("not the DER of an SM2 ciphertext")
    return raw


def _tagged(tag: int, content: bytes) -> bytes:
    """Tag, length, content; lengths up to 255, which is more than a wrapped secret needs."""
    length = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((tag,)) + length + content


def _integer(number: int) -> bytes:
    """A positive integer, with a zero in front where its first bit is set."""
    return _tagged(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _number(integer: bytes) -> bytes:
    """The 32 bytes of an INTEGER's content; `ValueError` when it is longer."""
    try:
        return int.from_bytes(integer).to_bytes(NUMBER_BYTES)
    except OverflowError as error:
        raise ValueError("an integer of more than 32 bytes") from error


class _Reader:
    """Elements of DER one after the other; raises `ValueError` where one is not as expected."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def next(self, tag: int) -> bytes:
        """The content of the next element, which must have this tag."""
        head = self._data[self._at : self._at + 3]
        if len(head) < 2 or head[0] != tag:
            raise ValueError("an element of DER is missing")
        length, start = (head[1], 2) if head[1] < 0x80 else (head[2] if head[1] == 0x81 and len(head) > 2 else -1, 3)
        content = self._data[self._at + start : self._at + start + length] if length >= 0 else b""
        if length < 0 or len(content) != length:
            raise ValueError("an element of DER is cut short")
        self._at += start + length
        return content

    def last(self, tag: int) -> bytes:
        """The next element, after which there must be nothing."""
        content = self.next(tag)
        if self._at != len(self._data):
            raise ValueError("something follows the last element of DER")
        return content

    only = last
