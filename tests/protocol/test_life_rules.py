"""The rules of a home's life by hand, row by row; any history of them: tests/protocol/test_life.py (G12)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import dumps, loads
from protocol.ids import Epoch, StartId
from protocol.life import STARTS_MAX, Finding, Life, Start, life_fields, read_life
from protocol.moment import NO_EPOCH, Moment

OURS, BEFORE, LOST, STRANGE, NEW = (Epoch(name * 8) for name in (b"o", b"b", b"l", b"s", b"n"))
STARTS = tuple(
    Start(StartId(bytes((number,)) * 8), began, began * 100) for number, began in ((1, 10), (2, 20), (3, 30))
)
HOME = Life(OURS, BEFORE, STARTS, (LOST,), born_us=1_000, doubt_us=2_000)
FOREIGN = StartId(b"x" * 8)

epochs = st.binary(min_size=8, max_size=8).map(Epoch)
numbers = st.integers(0, 2**50)
lives = st.builds(
    Life,
    epoch=epochs,
    previous=epochs,
    starts=st.lists(st.builds(Start, epochs.map(StartId), numbers, numbers), max_size=4).map(tuple),
    apart=st.lists(epochs, max_size=4).map(tuple),
    born_us=numbers,
    doubt_us=numbers,
)


@given(lives)
def test_g12_a_life_comes_back_from_the_store_as_it_was(life: Life) -> None:
    assert read_life(loads(dumps(life_fields(life)), max_bytes=10_000)) == life


def test_what_is_signed_says_the_present_start() -> None:
    assert HOME.moment(44) == Moment(OURS, BEFORE, STARTS[-1].id, 30, 44)


@pytest.mark.parametrize(
    ("epoch", "previous", "start", "began", "commits", "signed_us", "finding"),
    [
        # What our own starts said, up to the next one and up to now.
        (OURS, BEFORE, STARTS[0].id, 10, 19, 0, Finding.OURS),
        (OURS, BEFORE, STARTS[1].id, 20, 29, 0, Finding.OURS),
        (OURS, BEFORE, STARTS[2].id, 30, 40, 0, Finding.OURS),
        # What they never said.
        (OURS, BEFORE, STARTS[0].id, 10, 20, 3_000, Finding.RESTORED),
        (OURS, BEFORE, STARTS[2].id, 30, 41, 3_000, Finding.RESTORED),
        (OURS, BEFORE, STARTS[2].id, 31, 40, 3_000, Finding.RESTORED),
        (OURS, BEFORE, FOREIGN, 5, 6, 3_000, Finding.RESTORED),
        # Signed after our present start began: somebody goes on beside us.
        (OURS, BEFORE, FOREIGN, 5, 6, 3_001, Finding.CLONED),
        (STRANGE, NEW, FOREIGN, 5, 6, 3_001, Finding.CLONED),
        # An epoch of which we know that it is another life's, itself or by the one before.
        (LOST, BEFORE, FOREIGN, 5, 6, 2_000, Finding.KNOWN),
        (STRANGE, LOST, FOREIGN, 5, 6, 2_000, Finding.KNOWN),
        (LOST, BEFORE, FOREIGN, 5, 6, 2_001, Finding.RESTORED),
        # An epoch that we know nothing of, however old, and ours itself after what is lost.
        (STRANGE, NEW, FOREIGN, 5, 6, 100, Finding.RESTORED),
        (OURS, LOST, FOREIGN, 5, 6, 100, Finding.RESTORED),
    ],
)
def test_g12_what_a_record_of_our_own_tells(
    epoch: Epoch, previous: Epoch, start: StartId, began: int, commits: int, signed_us: int, finding: Finding
) -> None:
    assert HOME.judge(Moment(epoch, previous, start, began, commits), signed_us, 40) is finding


def test_g12_a_clone_is_seen_only_by_an_epoch_that_began_in_this_process() -> None:
    late = Moment(LOST, NO_EPOCH, FOREIGN, 5, 6)
    assert replace(HOME, fresh=True).judge(late, 2_001, 40) is Finding.CLONE_SEEN
    assert replace(HOME, fresh=True).judge(late, 2_000, 40) is Finding.KNOWN


@pytest.mark.parametrize(
    ("commits", "signed_us", "rises"),
    [(30, 1_000, True), (31, 999, True), (29, 1_000, False), (30, 1_001, False), (29, 1_001, False)],
)
def test_g12_a_start_rises_above_a_life_that_is_over(commits: int, signed_us: int, rises: bool) -> None:
    assert HOME.must_rise(Moment(LOST, NO_EPOCH, FOREIGN, 1, commits), signed_us) is rises


@pytest.mark.parametrize(("signed_us", "now_us", "born_us"), [(5_000, 4_000, 5_000), (4_000, 5_000, 5_000)])
def test_g12_a_parted_life_knows_what_it_is_apart_from(signed_us: int, now_us: int, born_us: int) -> None:
    other = Moment(STRANGE, NO_EPOCH, FOREIGN, 1, 50)
    parted = HOME.parted(NEW, other, signed_us, now_us)
    assert parted == Life(NEW, OURS, STARTS, (LOST, OURS, STRANGE), born_us, born_us, fresh=True)


def test_g12_of_starts_that_are_forgotten_only_lower_counts_are_believed() -> None:
    starts = tuple(Start(StartId(number.to_bytes(8)), 100 + number, 0) for number in range(STARTS_MAX))
    full, forgotten = replace(HOME, starts=starts), Moment(OURS, BEFORE, FOREIGN, 5, 99)
    assert full.judge(forgotten, 0, 1_000) is Finding.OURS
    assert full.judge(replace(forgotten, commits=100), 0, 1_000) is Finding.RESTORED
    assert replace(full, starts=starts[1:]).judge(forgotten, 0, 1_000) is Finding.RESTORED
