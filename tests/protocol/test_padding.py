"""Compression and Padmé: what is sealed tells only a size class, and opening it is bounded."""

import struct
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteError
from protocol.padding import PREFIX_BYTES, STORED, ZSTD, pack, padded_length, unpack


def packed_as(method: int, body: bytes) -> bytes:
    """A padded plaintext of our making."""
    length = padded_length(PREFIX_BYTES + len(body))
    return (bytes((method,)) + len(body).to_bytes(4, "big") + body).ljust(length, b"\0")


@given(st.integers(2, 1 << 40))
def test_padme_adds_at_most_12_percent_and_is_its_own_class(length: int) -> None:
    padded = padded_length(length)
    assert length <= padded <= length * 1.12
    assert padded_length(padded) == padded


@given(st.integers(2, 1 << 24))
def test_padme_rises_with_the_length(length: int) -> None:
    assert padded_length(length) <= padded_length(length + 1)


def test_padme_has_few_classes() -> None:
    assert len({padded_length(length) for length in range(2, 49_152)}) < 250
    # The example of the paper: 9 has the classes 9, 10, 12 …; 1 MiB + 1 grows by 3 %.
    assert [padded_length(n) for n in (9, 11, 100, 1_048_577)] == [10, 12, 104, 1_081_344]


@given(st.binary(max_size=2_000), st.binary(max_size=2_000))
def test_equal_classes_look_equal(one: bytes, other: bytes) -> None:
    assert (len(pack(one)) == len(pack(other))) or padded_length(len(pack(one))) != padded_length(len(pack(other)))


def frame_of_blocks(declared: int, blocks: int) -> bytes:
    """A zstd frame that says `declared` and unfolds to 128 KiB per block of four bytes."""
    head = struct.pack("<IBI", 0xFD2FB528, 0b10100000, declared)
    body = [struct.pack("<I", (131_072 << 3) | 2 | (i == blocks - 1))[:3] + b"a" for i in range(blocks)]
    return head + b"".join(body)


@pytest.mark.parametrize("declared", [10, 131_072, 4 << 20, (4 << 20) + 1, 2**32 - 1])
def test_g13_a_bomb_is_refused_in_bounded_memory(declared: int) -> None:
    bomb = packed_as(ZSTD, frame_of_blocks(declared, 10_000))
    tracemalloc.start()
    with pytest.raises(RemoteError):
        unpack(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "MALFORMED"),
        (bytes(4), "MALFORMED"),
        (packed_as(2, b"x"), "MALFORMED"),
        (packed_as(STORED, b"x" * 40) + b"\0", "MALFORMED"),
        (packed_as(STORED, b"x" * 40)[:-1] + b"\1", "MALFORMED"),
        (packed_as(STORED, b"x" * 4_000), "TOO_LARGE"),
        (packed_as(ZSTD, b"not zstd"), "MALFORMED"),
        (packed_as(ZSTD, zstandard.compress(b"x" * 90)[:-3]), "MALFORMED"),
        (packed_as(ZSTD, zstandard.compress(b"x") + zstandard.compress(b"y")), "MALFORMED"),
        (packed_as(ZSTD, zstandard.compress(b"x" * 3_001)), "TOO_LARGE"),
        (packed_as(ZSTD, zstandard.ZstdCompressor(write_content_size=False).compress(b"x")), "TOO_LARGE"),
    ],
)
def test_wrong_padding_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RemoteError) as caught:
        unpack(data, max_bytes=3_000)
    assert caught.value.code == code


@given(st.binary(max_size=500), st.data())
def test_unpack_raises_remote_error_only(data: bytes, draw: st.DataObject) -> None:
    method = draw.draw(st.integers(0, 3))
    try:
        unpack(packed_as(method, zstandard.compress(data)[: draw.draw(st.integers(0, 600))]))
    except RemoteError:
        return


@pytest.mark.parametrize("bound", [100, 999, 1_024, 5_000])
def test_a_small_bound_takes_what_fits_it_and_nothing_more(bound: int) -> None:
    for length, fits in ((bound, True), (bound + 1, False)):
        packed = pack(b"a" * length)
        if fits:
            assert unpack(packed, max_bytes=bound) == b"a" * length
        else:
            with pytest.raises(RemoteError, match="TOO_LARGE"):
                unpack(packed, max_bytes=bound)
