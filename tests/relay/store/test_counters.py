"""Counters only rise, by what they are told, and outlive the process; facts of the home come back as they were kept."""

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store import counters
from relay.store.counters import NAMES
from relay.store.tables import COUNTERS
from tests.relay.office_store import office_store

changes = st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1_000), max_size=4), max_size=6)


@settings(max_examples=settings().max_examples // 4)
@given(changes)
def test_counters_are_the_sums_of_what_they_were_told(told: list[dict[str, int]]) -> None:
    with office_store() as store:
        assert store.run(counters.counters) == dict.fromkeys(NAMES, 0)
        for one in told:
            store.run(partial(counters.count, changes=one))
        assert store.run(counters.counters) == {name: sum(one.get(name, 0) for one in told) for name in NAMES}
        # What was never counted takes no row, and a row holds nothing but its count.
        rows = store.run(COUNTERS.select)
        assert {row["name"] for row in rows} == {name for one in told for name, by in one.items() if by}
        assert all(row.body == b"" for row in rows)


def test_a_fact_of_the_home_comes_back_as_it_was_kept() -> None:
    with office_store() as store:
        assert store.run(partial(counters.recall, name="fact")) is None
        for value in (0, [1, b"two", None], {3: "drei"}, "四"):
            store.run(partial(counters.remember, name="fact", value=value))
            assert store.run(partial(counters.recall, name="fact")) == value
