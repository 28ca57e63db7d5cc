"""Vectors for the layers without keys: CBOR, padding, topics."""

from collections.abc import Iterator

import zstandard

from protocol.padding import pack
from tests.vectors.vector import Vector


def vectors() -> Iterator[Vector]:
    """Bytes that no key is needed to judge."""
    yield from _cbor()
    yield from _padding()
    yield from _topics()


def _cbor() -> Iterator[Vector]:
    def vector(name: str, comment: str, hexa: str, expect: str = "MALFORMED") -> Vector:
        return Vector(f"cbor-{name}", comment, "cbor", expect, bytes.fromhex(hexa))

    yield vector(
        "ok", "A map of every allowed type in canonical form.", "a500f501f60241ff036161048200 1b ffffffffffffffff", "ok"
    )
    yield vector("long-integer", "Seventeen in two bytes; one is enough.", "1811")
    yield vector("indefinite-array", "An array of indefinite length.", "9f00ff")
    yield vector("unsorted-map", "Key 1 before key 0.", "a201000000")
    yield vector("duplicate-key", "Key 0 twice.", "a200000001")
    yield vector("text-key", "A map key that is a text.", "a1616100")
    yield vector("tag", "Tag 1, a time.", "c100")
    yield vector("bignum", "Tag 2, a bignum that would fit an integer.", "c24105")
    yield vector("self-described", "The self-describing tag in front.", "d9d9f700")
    yield vector("float", "1.0 as a half.", "f93c00")
    yield vector("undefined", "The simple value undefined.", "f7")
    yield vector("bad-utf8", "A text that is not UTF-8.", "61ff")
    yield vector("surrogate", "A text with half a surrogate pair.", "63eda080")
    yield vector("trailing-byte", "One byte after the value.", "0000")
    yield vector("cut", "An array of two with one element.", "8200")
    yield vector("huge-claim", "An array that claims 2^64-1 elements.", "9bffffffffffffffff")
    yield vector("deep", "Seventeen nested arrays; sixteen is the limit.", "81" * 17 + "80")
    yield vector("empty", "Nothing at all.", "")


def _padding() -> Iterator[Vector]:
    def vector(name: str, comment: str, data: bytes, expect: str = "MALFORMED") -> Vector:
        return Vector(f"padding-{name}", comment, "padding", expect, data)

    plain = b"\0\0\0\0\3abc"
    yield vector("ok-stored", "Three bytes, stored: eight is its own class.", pack(b"abc"), "ok")
    yield vector("ok-zstd", "A hundred equal bytes, compressed.", pack(b"a" * 100), "ok")
    yield vector("too-long", "One zero more than Padmé gives.", plain + b"\0")
    yield vector("not-zero", "A padding byte that is not zero.", b"\0\0\0\0\4abcd\1")
    yield vector("length-beyond-end", "The length is larger than what follows.", b"\0\0\0\0\5abc")
    yield vector("unknown-method", "Method 2.", b"\2\0\0\0\3abc")
    yield vector("short", "Shorter than the prefix.", b"\0\0\0\0")
    yield vector("not-a-zstd-frame", "Method 1 with plain bytes.", b"\1\0\0\0\3abc")
    bare = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc")
    yield vector("zstd-without-size", "A frame that does not say its size.", _padded(bare), "TOO_LARGE")
    claims = bytes.fromhex("28b52ffda0 00000080 0b000061".replace(" ", ""))
    yield vector("zstd-claims-2-gib", "A frame that says it unfolds to 2 GiB.", _padded(claims), "TOO_LARGE")
    two = zstandard.compress(b"a") + zstandard.compress(b"b")
    yield vector("two-zstd-frames", "Two frames, one after the other.", _padded(two))


def _padded(body: bytes) -> bytes:
    """A zstd body whose whole plaintext needs no padding, or is filled to the next class of few bytes."""
    from protocol.padding import padded_length

    data = b"\1" + len(body).to_bytes(4, "big") + body
    return data.ljust(padded_length(len(data)), b"\0")


def _topics() -> Iterator[Vector]:
    def vector(name: str, comment: str, topic: str, expect: str = "WRONG_TOPIC") -> Vector:
        return Vector(f"topic-{name}", comment, "topic", expect, topic.encode())

    yield vector("ok-frame", "A frame for the province from the city.", "relay/1/320000-GO/flash/320900-GO", "ok")
    yield vector(
        "ok-trust", "A TUF file; dots are written as underscores.", "relay/1/trust/320900-GO/12_root_json", "ok"
    )
    yield vector("unknown-lane", "A lane that does not exist.", "relay/1/320000-GO/fast/320900-GO")
    yield vector("lower-case", "An address in lower case.", "relay/1/320000-go/flash/320900-GO")
    yield vector("version-2", "Another version of the topics.", "relay/2/320000-GO/flash/320900-GO")
    yield vector("six-levels", "One level too many.", "relay/1/320000-GO/flash/320900-GO/x")
    yield vector("wildcard", "A wildcard in the place of an address.", "relay/1/320000-GO/flash/+")
    yield vector("dotted-file", "A TUF file name with its dot.", "relay/1/trust/320900-GO/root.json")
