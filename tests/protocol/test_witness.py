"""What a relay remembers of its neighbours, and when it writes that down (G12)."""

from dataclasses import replace

from protocol.ids import Epoch, KeyId, OfficeId, StartId
from protocol.limits import RECORD_BYTES
from protocol.moment import Moment
from protocol.witness import WRITE_US, Shown, Witness

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

    def said(commits: int, start: bytes = bytes(8)) -> Shown:
        return Shown(replace(moment, start=StartId(start), began=commits - 1, commits=commits), b"", KEY)

    witness.note(HOME, said(2), 0)
    ((_, first),) = witness.unwritten(0)
    witness.wrote(HOME, first, 0)
    witness.note(HOME, said(3), 1)
    assert witness.unwritten(WRITE_US - 1) == []
    ((_, second),) = witness.unwritten(WRITE_US)
    assert second == said(3)
    witness.wrote(HOME, second, WRITE_US)
    witness.note(HOME, said(9, b"restart!"), WRITE_US + 1)
    assert witness.unwritten(WRITE_US + 1) == [(HOME, said(9, b"restart!"))]
