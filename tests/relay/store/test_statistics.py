"""The figures of the days add up to the counters, and go when their time is over (CONTRACT section 8)."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store import counters, statistics
from relay.store.counters import NAMES
from relay.store.statistics import DAY_US
from relay.store.tables import STATISTICS
from tests.relay.office_store import office_store

steps = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 99), max_size=3)), max_size=8
)


@settings(max_examples=settings().max_examples // 4)
@given(steps)
def test_what_was_counted_on_each_day_is_what_the_day_says(told: list[tuple[int, dict[str, int]]]) -> None:
    day, expected = 20_000, dict[int, dict[str, int]]()
    with office_store() as store:
        for later, counts in told:
            day += later
            store.run(lambda txn, counts=counts: counters.count(txn, counts))
            store.run(lambda txn, day=day: statistics.note(replace(txn, now_us=day * DAY_US + 7)))
            today = expected.setdefault(day, dict.fromkeys(NAMES, 0))
            for name, by in counts.items():
                today[name] += by
        assert store.run(lambda txn: statistics.latest(txn, 100)) == sorted(expected.items(), reverse=True)


def test_days_are_forgotten_when_their_time_is_over_and_totals_are_not() -> None:
    with office_store() as store:
        store.run(lambda txn: counters.count(txn, {"accepted": 5}))
        for day in range(10):
            store.run(lambda txn, day=day: statistics.note(replace(txn, now_us=day * DAY_US)))
        store.run(lambda txn: statistics.forget(replace(txn, now_us=9 * DAY_US + 7), 4, 3))
        assert store.run(STATISTICS.unverified_count) == 7
        store.run(lambda txn: statistics.forget(replace(txn, now_us=9 * DAY_US + 7), 4, 3))
        assert [day for day, _ in store.run(lambda txn: statistics.latest(txn, 100))] == [9, 8, 7, 6, 5]
        assert [day for day, _ in store.run(lambda txn: statistics.latest(txn, 2))] == [9, 8]
        assert store.run(counters.counters)["accepted"] == 5


def test_a_day_on_which_nothing_more_was_counted_is_not_written_again() -> None:
    with office_store() as store:
        written = []
        for counts in ({"accepted": 5}, {}, {"accepted": 1}):
            store.run(lambda txn, counts=counts: counters.count(txn, counts))
            before = store.commits
            store.run(lambda txn: statistics.note(replace(txn, now_us=DAY_US)))
            written.append(store.commits > before)
        assert written == [True, False, True]


def test_a_counter_that_began_again_makes_no_day_negative() -> None:
    with office_store() as store:
        store.run(lambda txn: counters.count(txn, {"accepted": 5}))
        store.run(lambda txn: statistics.note(replace(txn, now_us=0)))
        store.run(lambda txn: txn.connection.execute("DELETE FROM counters").rowcount)
        store.run(lambda txn: counters.count(txn, {"accepted": 2}))
        store.run(lambda txn: statistics.note(replace(txn, now_us=DAY_US)))
        assert [found["accepted"] for _, found in store.run(lambda txn: statistics.latest(txn, 9))] == [2, 5]
