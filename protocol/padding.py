"""Compression with bounded output, then Padmé padding (SPEC section 5): what is sealed tells only a size class.

The only importer of zstandard. The padded plaintext is: one byte method (0 stored, 1 zstd),
four bytes big-endian length of the data, the data, zeros.
"""

from typing import Final

import zstandard

from protocol.errors import RemoteError
from protocol.limits import CONTENT_BYTES

STORED: Final = 0
ZSTD: Final = 1
PREFIX_BYTES: Final = 5


def padded_length(length: int) -> int:
    """The Padmé length (Nikitin et al., PETS 2019): at most 12 % more, and O(log log length) bits of information."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << max(low_bits, 0)) - 1
    return (length + mask) & ~mask


def pack(data: bytes) -> bytes:
    """The padded plaintext of `data`; compressed when that is shorter."""
    squeezed = zstandard.ZstdCompressor(level=3, write_checksum=False).compress(data)
    method, body = (ZSTD, squeezed) if len(squeezed) < len(data) else (STORED, data)
    length = padded_length(PREFIX_BYTES + len(body))
    return (bytes((method,)) + len(body).to_bytes(4, "big") + body).ljust(length, b"\0")


def unpack(padded: bytes, *, max_bytes: int = CONTENT_BYTES) -> bytes:
    """The data of a padded plaintext.

    Raises `RemoteError` MALFORMED for a wrong length, padding or method, TOO_LARGE when the data or the
    decompressed data would exceed `max_bytes`.
    """
    if len(padded) < PREFIX_BYTES:
        raise RemoteError("MALFORMED", "shorter than the prefix")
    method, length = padded[0], int.from_bytes(padded[1:PREFIX_BYTES], "big")
    end = PREFIX_BYTES + length
    if end > len(padded) or padded_length(end) != len(padded) or any(padded[end:]):
        raise RemoteError("MALFORMED", "padding is not Padmé zeros")
    body = padded[PREFIX_BYTES:end]
    if method == STORED:
        if length > max_bytes:
            raise RemoteError("TOO_LARGE", f"content has {length} bytes")
        return body
    if method == ZSTD:
        return _decompress(body, max_bytes)
    raise RemoteError("MALFORMED", f"unknown packing method {method}")


def _decompress(body: bytes, max_bytes: int) -> bytes:
    """One whole zstd frame with a declared size within the bound and nothing after it."""
    try:
        declared = zstandard.frame_content_size(body)
        if not 0 <= declared <= max_bytes:
            raise RemoteError("TOO_LARGE", f"declared size {declared}, at most {max_bytes}")
        machine = zstandard.ZstdDecompressor(max_window_size=max(max_bytes, 1 << 10)).decompressobj()
        data = machine.decompress(body)
    except zstandard.ZstdError as error:
        raise RemoteError("MALFORMED", "not a zstd frame") from error
    if not machine.eof or machine.unused_data or len(data) != declared:
        raise RemoteError("MALFORMED", "zstd frame is cut or followed by more")
    return data
