"""What a relay remembers of its neighbours, and when it writes that down (G12)."""

from dataclasses import replace

from protocol.ids import Epoch, KeyId, OfficeId, StartId
from protocol.limits import RECORD_BYTES, SECOND_US
from protocol.moment import Moment
from protocol.witness import AGAIN_US, TOLD_MAX, WRITE_US, Noted, Shown, Witness

HOME = OfficeId(b"h" * 16)
KEY = KeyId(b"k" * 16)


def test_records_too_large_to_be_shown_say_nothing() -> None:
    witness = Witness()
    moment = Moment(Epoch(bytes(8)), Epoch(bytes(8)), StartId(bytes(8)), 1, 2)
    witness.note(HOME, Shown(moment, bytes(RECORD_BYTES + 1), KEY), 0)
    assert witness.key_of(HOME) is None
    witness.note(HOME, Shown(moment, bytes(RECORD_BYTES), KEY), 0)
    assert witness.key_of(HOME) == KEY
    witness.forget(HOME)
    assert not witness.unwritten(2 * WRITE_US)


def test_a_higher_count_is_written_down_now_and_then_and_a_new_start_at_once() -> None:
    witness = Witness()
    moment = Moment(Epoch(bytes(8)), Epoch(bytes(8)), StartId(bytes(8)), 1, 2)

    def count(commits: int, start: bytes = bytes(8)) -> Shown:
        return Shown(replace(moment, start=StartId(start), began=commits - 1, commits=commits), b"", KEY)

    witness.note(HOME, count(2), 0)
    ((_, first),) = witness.unwritten(0)
    witness.wrote(HOME, first, 0)
    witness.note(HOME, count(3), 1)
    assert witness.unwritten(WRITE_US - 1) == []
    ((_, second),) = witness.unwritten(WRITE_US)
    assert second == count(3)
    witness.wrote(HOME, second, WRITE_US)
    witness.note(HOME, count(9, b"restart!"), WRITE_US + 1)
    assert witness.unwritten(WRITE_US + 1) == [(HOME, count(9, b"restart!"))]


def said(commits: int, start: bytes = b"original", began: int = 1, epoch: bytes = bytes(8)) -> Shown:
    moment = Moment(Epoch(epoch), Epoch(bytes(8)), StartId(start), began, commits)
    return Shown(moment, bytes((commits,)) + start, KEY)


def test_g12_whoever_starts_again_is_shown_what_is_remembered_of_it() -> None:
    witness = Witness()
    assert witness.note(HOME, said(5), 0) == Noted()
    assert witness.note(HOME, said(9, b"restart!", began=6), 1) == Noted(said(5).record)
    assert witness.note(HOME, said(20, b"restored", 10, b"newepoch"), 2) == Noted(
        said(9, b"restart!").record, new_epoch=True
    )
    # A start that began where the other already was is not above it.
    assert witness.note(HOME, said(25, b"a clone!", began=20), 3) == Noted(said(20, b"restored").record)
    assert witness.note(HOME, said(21, b"restored", 10, b"newepoch"), 4) == Noted()
    assert witness.note(HOME, said(22, b"another!", began=3), 5) == Noted(said(21, b"restored").record)


def test_g12_what_the_store_remembers_is_shown_and_is_not_written_again() -> None:
    witness = Witness()
    witness.recall(HOME, said(5))
    assert witness.key_of(HOME) == KEY
    assert witness.unwritten(WRITE_US) == []
    witness.note(HOME, said(6), 1)
    assert witness.unwritten(WRITE_US - 1) == []
    assert witness.unwritten(WRITE_US) == [(HOME, said(6))]
    assert witness.note(HOME, said(3, b"restored", began=2), 2) == Noted(said(6).record)


def test_g12_the_same_count_again_takes_nobodys_place() -> None:
    witness = Witness()
    witness.note(HOME, said(5), 0)
    other = replace(said(5), record=b"signed at another time")
    witness.note(HOME, other, 0)
    assert witness.unwritten(0) == [(HOME, said(5))]


def test_g13_a_start_that_is_not_above_is_told_once_a_minute_and_few_are() -> None:
    witness = Witness()
    witness.note(HOME, said(50), 0)
    at_us = 40 * SECOND_US
    older = [said(9, bytes((number,)) * 8, began=2) for number in range(TOLD_MAX + 1)]
    assert [witness.note(HOME, one, at_us).owed for one in older[:-1]] == [said(50).record] * TOLD_MAX
    assert witness.note(HOME, older[-1], at_us) == Noted()
    assert witness.note(HOME, older[0], at_us + AGAIN_US - 1) == Noted()
    assert witness.note(HOME, older[0], at_us + AGAIN_US) == Noted(said(50).record)
    few = Witness()
    few.note(HOME, said(50), 0)
    assert few.note(HOME, older[0], at_us).owed is not None
    assert few.note(HOME, older[0], at_us + 1) == Noted()


def test_g12_what_is_written_down_is_what_was_said_last() -> None:
    witness = Witness()
    witness.wrote(HOME, said(1), 0)
    witness.forget(HOME)
    first, third, fourth = said(2), said(3), said(4)
    witness.note(HOME, first, 0)
    witness.wrote(HOME, first, 4 * SECOND_US)
    assert witness.unwritten(WRITE_US * 9) == []
    witness.note(HOME, third, 5 * SECOND_US)
    witness.note(HOME, fourth, 6 * SECOND_US)
    assert witness.unwritten(4 * SECOND_US + WRITE_US - 1) == []
    assert witness.unwritten(4 * SECOND_US + WRITE_US) == [(HOME, fourth)]
    # While it was written the neighbour went on.
    witness.wrote(HOME, third, 20 * SECOND_US)
    assert witness.unwritten(20 * SECOND_US + WRITE_US) == [(HOME, fourth)]
    # And another start is not what was written.
    restarted = said(9, b"restart!", began=8)
    witness.note(HOME, restarted, 21 * SECOND_US)
    witness.wrote(HOME, fourth, 22 * SECOND_US)
    assert witness.unwritten(22 * SECOND_US) == [(HOME, restarted)]
    witness.forget(HOME)
    assert (witness.key_of(HOME), witness.unwritten(WRITE_US * 99)) == (None, [])
