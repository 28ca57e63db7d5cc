"""A small audit log of the county, written with real keys, and what may be done to its files."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from keys.signing import AUDIT, sign_record
from protocol.audit import START, Mark, make_line, split_line
from protocol.errors import RemoteError
from relay.audit.check import Anchor, Check, Report, Walk, check_folder, head_verifier
from relay.audit.entry import Owner
from relay.audit.log import AuditLog, Found
from relay.audit.notes import Note
from tests.world import COUNTY, COUNTY_KEY, DIRECTORY, EPOCH, NETWORK, NOW_US

OWNER = Owner(NETWORK, COUNTY, EPOCH)
VERIFY = head_verifier(DIRECTORY, COUNTY)
FILE_BYTES = 3_000
"""Size at which these tests begin a new file: a dozen lines."""

Book = dict[str, bytes]
"""The files of a log by name."""


@contextmanager
def quick_disk() -> Iterator[None]:
    """No waiting for the disk: these tests make their own power cuts, and no real one comes."""
    with patch("os.fsync", lambda handle: None), patch("os.fdatasync", lambda handle: None):
        yield


def sign_head(mark: Mark, at_us: int) -> bytes:
    return sign_record(COUNTY_KEY, AUDIT, OWNER.head_payload(mark, at_us))


def open_log(folder: Path, stored: Mark = START) -> tuple[AuditLog, Found]:
    return AuditLog.open(folder, sign_head, VERIFY, stored, NOW_US)


def some_notes(count: int, dice: random.Random) -> list[Note]:
    words = ("send", "take", "ack", "open", "delivered")
    return [
        Note(NOW_US + at, f"uid:{dice.randrange(3)}/gid:0", dice.choice(words), {"id": f"{dice.getrandbits(64):x}"})
        for at in range(count)
    ]


def write_book(folder: Path, seed: int, steps: int = 12) -> Mark:
    """A log of some files and heads; the mark that its store would hold."""
    dice = random.Random(seed)
    log, _ = open_log(folder)
    for _ in range(steps):
        log.append(some_notes(dice.randrange(1, 6), dice))
        if dice.random() < 0.3:
            log.sign_head(NOW_US)
        log.rotate(FILE_BYTES, NOW_US)
    log.sync(NOW_US)
    log.close()
    return log.durable


def read_book(folder: Path) -> Book:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def put_book(folder: Path, book: Book) -> None:
    for path in folder.iterdir():
        if path.name not in book:
            path.unlink()
    for name, data in book.items():
        (folder / name).write_bytes(data)


def checked(folder: Path, stored: Mark, *anchors: Anchor) -> Report:
    walk = Walk(VERIFY, (Anchor("the store", stored), *anchors))
    check: Check = check_folder(folder, walk, stored)
    for _ in check.slices():
        pass
    return check.report()


# Edits: each takes the files and returns other ones.


def _flip(book: Book, dice: random.Random) -> None:
    name = dice.choice(list(book))
    data = bytearray(book[name])
    data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
    book[name] = bytes(data)


def _lines(book: Book, dice: random.Random, change: Callable[[list[bytes], random.Random], None]) -> None:
    name = dice.choice(list(book))
    lines = book[name].splitlines(keepends=True)
    change(lines, dice)
    book[name] = b"".join(lines)


def _delete(book: Book, dice: random.Random) -> None:
    def change(lines: list[bytes], dice: random.Random) -> None:
        at = dice.randrange(len(lines))
        del lines[at : at + dice.randrange(1, 4)]

    _lines(book, dice, change)


def _repeat(book: Book, dice: random.Random) -> None:
    def change(lines: list[bytes], dice: random.Random) -> None:
        lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))

    _lines(book, dice, change)


def _swap(book: Book, dice: random.Random) -> None:
    def change(lines: list[bytes], dice: random.Random) -> None:
        if len(lines) > 1:
            one, other = dice.sample(range(len(lines)), 2)
            lines[one], lines[other] = lines[other], lines[one]

    _lines(book, dice, change)


def _insert(book: Book, dice: random.Random) -> None:
    def change(lines: list[bytes], dice: random.Random) -> None:
        lines.insert(dice.randrange(len(lines) + 1), dice.randbytes(dice.randrange(1, 300)) + b"\n")

    _lines(book, dice, change)


def _cut(book: Book, dice: random.Random) -> None:
    name = dice.choice(list(book))
    book[name] = book[name][: dice.randrange(len(book[name]))]


def _overwrite(book: Book, dice: random.Random) -> None:
    name = dice.choice(list(book))
    at, size = dice.randrange(len(book[name])), dice.randrange(1, 600)
    book[name] = book[name][:at] + bytes(min(size, len(book[name]) - at)) + book[name][at + size :]


def _append(book: Book, dice: random.Random) -> None:
    """To a file that is not the last: behind the last one is where a crash may leave something."""
    name = dice.choice(list(book)[:-1])
    book[name] += dice.randbytes(dice.randrange(1, 50))


def _lose_file(book: Book, dice: random.Random) -> None:
    del book[dice.choice(list(book))]


def _swap_files(book: Book, dice: random.Random) -> None:
    one, other = dice.sample(list(book), 2)
    book[one], book[other] = book[other], book[one]


def _forge(book: Book, dice: random.Random) -> None:
    """Change a word and reckon every later hash anew, which anybody can; what cannot be forged is the signature."""
    lines = [(name, line) for name, data in book.items() for line in data.splitlines(keepends=True)]
    at = dice.randrange(len(lines))
    before = split_line(lines[at - 1][1])[2] if at else START.head
    out: dict[str, list[bytes]] = {name: [] for name in book}
    for place, (name, line) in enumerate(lines):
        if place < at:
            out[name].append(line)
            continue
        _, body, _ = split_line(line)
        if place == at:
            body = body.replace(b'"by":"', b'"by":"x', 1)
        forged, before = make_line(before, body)
        out[name].append(forged)
    for name, made in out.items():
        book[name] = b"".join(made)


EDITS: tuple[Callable[[Book, random.Random], None], ...] = (
    _flip, _flip, _flip, _delete, _repeat, _swap, _insert, _cut, _overwrite, _append, _lose_file, _swap_files, _forge,
)  # fmt: skip


def edited(book: Book, seed: int) -> tuple[Book, str]:
    """The files after one edit that changed something, and its name."""
    dice = random.Random(seed)
    while True:
        edit = dice.choice(EDITS)
        changed = dict(book)
        edit(changed, dice)
        if changed != book:
            return changed, edit.__name__


def is_line(data: bytes) -> bool:
    try:
        split_line(data)
    except RemoteError:
        return False
    return True
