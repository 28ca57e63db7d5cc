"""Archives of audit logs from strangers: whatever stands in them costs no more than their size, and ends (G13, G15)."""

import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.audit import archive
from relay.audit.archive import Piece, archive_bytes, check_archive

END = bytes(2 * tarfile.BLOCKSIZE)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header of a file with any size, in the binary form that `tarfile` writes for large ones only."""
    entry = tarfile.TarInfo(name)
    entry.type = kind
    block = bytearray(entry.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = (size if size >= 0 else 256**12 + size).to_bytes(12, "big")
    block[124] |= 0x80
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def sparse(name: str, real_size: int) -> bytes:
    """Half a kilobyte that says it is a file of `real_size`, by the extension of GNU tar."""
    said = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name}
    lines = b""
    for key, value in {**said, "GNU.sparse.realsize": str(real_size)}.items():
        line = f" {key}={value}\n".encode()
        length = len(line) + 2 if len(line) + 2 < 100 else len(line) + 3
        lines += str(length).encode() + line
    extension = header("x", len(lines), tarfile.XHDTYPE) + padded(lines)
    return extension + header("x", tarfile.BLOCKSIZE) + padded(b"1\n%d\n0\n" % real_size)


HOSTILE = {
    "a size below zero": header("head.cbor", 0) + header("head.cbor", -512),
    "sparse gigabytes": b"".join(sparse(f"trust/{number}", 4 << 20) for number in range(50)),
    "long names one in another": (header("x", 1, tarfile.GNUTYPE_LONGNAME) + padded(b"x")) * 3_000,
    "the same file twice": header("audit/000000000001.jsonl", 0) * 2,
    "a link": header("audit/000000000001.jsonl", 0, tarfile.SYMTYPE),
    "a way out": header("audit/../../000000000001.jsonl", 0),
    "a size that nothing has": header("audit/000000000001.jsonl", 1 << 80),
    "a name that is no text": bytes((255,)) * 257,
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.timeout(20)
def test_g13_g15_a_hostile_archive_costs_no_more_than_its_size(what: str, tmp_path: Path) -> None:
    file = tmp_path / "log.tar"
    file.write_bytes(HOSTILE[what] + END)
    found = check_archive(file, None, None)
    assert found["ok"] is False
    assert found["problems"][0].startswith("MALFORMED: not an audit archive: ")


@pytest.mark.parametrize("cut", [0, 511, 512, 600, 1_024])
def test_g13_g15_an_archive_that_breaks_off_is_none(cut: int, tmp_path: Path) -> None:
    whole = b"".join(archive_bytes([Piece("head.cbor", 600, bytes(600))]))
    (tmp_path / "log.tar").write_bytes(whole[:cut])
    assert check_archive(tmp_path / "log.tar", None, None)["problems"][0].startswith(
        "MALFORMED: not an audit archive: "
    )


def test_g13_trust_files_of_an_archive_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def problems(sizes: Sequence[int]) -> str:
        pieces = [Piece(f"trust/{number}", size, bytes(size)) for number, size in enumerate(sizes)]
        (tmp_path / "log.tar").write_bytes(b"".join(archive_bytes(pieces)))
        return str(check_archive(tmp_path / "log.tar", None, None)["problems"][0])

    monkeypatch.setattr(archive, "TRUST_BYTES", 2_000)
    assert problems([1_000, 1_000]).startswith("TRUST: ")
    assert problems([1_000, 1_001]).endswith("a file that does not belong there")
