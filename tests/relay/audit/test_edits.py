"""Any edit, deletion, reordering or truncation is found; a tear that a crash may leave is no tampering (G15)."""

import random
from pathlib import Path

import pytest

from protocol.audit import Mark
from relay.audit.check import Anchor
from tests.relay.audit.books import NOW_US, checked, open_log, put_book, read_book, some_notes, write_book
from tests.relay.audit.edits import run

EDITS = 3_000
BOOKS = 4
SHORT = 3
"""Steps of a log that is cut at every byte."""


def test_g15_every_edit_of_a_log_is_found() -> None:
    tried, missed = run(1_000_000, EDITS)
    assert missed == []
    assert sum(tried.values()) == EDITS
    assert len(tried) == 11


@pytest.mark.parametrize("seed", range(3))
def test_g15_a_tear_at_any_byte_behind_what_was_durable_is_no_tampering(tmp_path: Path, seed: int) -> None:
    """As the file system may leave it: cut at any byte, or with zeros from any byte to the end of its block."""
    stored = write_book(tmp_path, seed, SHORT)
    log, _ = open_log(tmp_path, stored)
    dice = random.Random(seed)
    durable = read_book(tmp_path)
    log.append(some_notes(2, dice))
    log.close()
    whole = read_book(tmp_path)
    name = max(whole)
    for cut in range(len(durable[name]), len(whole[name]) + 1):
        for zeros in (0, 512 - cut % 512):
            put_book(tmp_path, whole | {name: whole[name][:cut] + bytes(zeros)})
            report = checked(tmp_path, stored)
            assert report.problems == ()
            clean = zeros == 0 and (cut == len(durable[name]) or whole[name][:cut].endswith(b"\n"))
            assert (report.torn_bytes == 0) == clean
            if cut % 97 == 0:
                again, found = open_log(tmp_path, stored)
                assert found.problems == ()
                assert found.torn_bytes == report.torn_bytes
                again.append(some_notes(1, dice))
                after = again.sync(NOW_US)
                again.close()
                assert checked(tmp_path, after).problems == ()


def test_g15_a_cut_into_what_was_durable_is_found_at_every_byte(tmp_path: Path) -> None:
    stored = write_book(tmp_path, 7, SHORT)
    book = read_book(tmp_path)
    name = max(book)
    for cut in range(len(book[name])):
        put_book(tmp_path, book | {name: book[name][:cut]})
        assert not checked(tmp_path, stored).ok


def test_g15_a_whole_log_that_was_swapped_or_rolled_back_is_found_by_the_store_and_by_a_neighbour(
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    stored = write_book(here, 1)
    other = write_book(there, 2)
    assert checked(there, other).ok
    assert not checked(there, stored).ok
    early = Mark(stored.count + 3, stored.head)
    report = checked(here, stored, Anchor("320900-GO", early))
    assert [problem.split(":")[0] for problem in report.problems] == ["CUT"]
    put_book(here, {})
    assert not checked(here, stored).ok


def test_g15_damage_anywhere_stops_no_log(tmp_path: Path) -> None:
    """Whatever was done to it, the log goes on in a new file, and what it says from then on verifies."""
    for seed in range(BOOKS):
        folder = tmp_path / f"{seed}"
        stored = write_book(folder, seed)
        book = read_book(folder)
        for name in book:
            for change in (b"", book[name][:100], book[name][:-1], book[name].replace(b"uid:", b"UID:"), b"\0" * 9_000):
                put_book(folder, book | {name: change})
                log, found = open_log(folder, stored)
                log.append(some_notes(2, random.Random(seed)))
                mark = log.sync(NOW_US)
                log.close()
                report = checked(folder, mark)
                assert mark.count > stored.count
                assert report.mark == mark
                assert (report.problems == ()) == (change == book[name])
                assert name != max(book) or found.problems or change == book[name]
