"""The ring of what did not verify: the newest samples, within rows and bytes (G13)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from relay.store import quarantine
from relay.store.database import Txn
from relay.store.quarantine import SAMPLE_BYTES, Suspect
from tests.relay.office_store import office_store, tried

sizes = st.sampled_from((0, 1, 100, SAMPLE_BYTES - 1, SAMPLE_BYTES, SAMPLE_BYTES + 1, 3 * SAMPLE_BYTES))


def suspect(number: int, size: int) -> Suspect:
    sample = number.to_bytes(4, "big") + bytes(size)
    return Suspect(number, "MALFORMED", "no frame", "relay/1/…", len(sample), sample)


@given(
    batches=st.lists(st.lists(sizes, max_size=9), min_size=1, max_size=6),
    rows_max=st.integers(1, 12),
    bytes_max=st.sampled_from((0, 1, 5_000, 4 * SAMPLE_BYTES, 1 << 20)),
)
def test_g13_quarantine_stays_within_rows_and_bytes(batches: list[list[int]], rows_max: int, bytes_max: int) -> None:
    def change(txn: Txn) -> None:
        number, came = 0, list[Suspect]()
        for batch in batches:
            suspects = [suspect(number + offset, size) for offset, size in enumerate(batch)]
            number += len(batch)
            came += suspects
            quarantine.put(txn, suspects, rows_max, bytes_max)
            kept = quarantine.latest(txn, 1_000)
            assert len(kept) <= rows_max
            assert sum(len(one.sample) for one in kept) <= bytes_max
            # The newest stay, each as it was, cut to a sample.
            assert [one.at_us for one in kept] == list(range(number - 1, number - 1 - len(kept), -1))
            cut = [replace(one, sample=one.sample[:SAMPLE_BYTES]) for one in came]
            assert [replace(one, seq=0) for one in kept] == cut[::-1][: len(kept)]
            assert quarantine.latest(txn, 1) == kept[:1]
        if bytes_max == 1 << 20:
            assert len(kept) == min(rows_max, number)
        for one in kept:
            assert quarantine.get(txn, one.seq) == one

    with office_store() as store:
        tried(store, change)


def test_samples_are_numbered_in_the_order_they_came() -> None:
    def change(txn: Txn) -> None:
        for batch in ([suspect(1, 10)], [suspect(2, 10), suspect(3, 10)]):
            quarantine.put(txn, batch, 10, 1 << 20)
        assert [(one.seq, one.at_us) for one in quarantine.latest(txn, 10)] == [(3, 3), (2, 2), (1, 1)]
        assert quarantine.get(txn, 4) is None

    with office_store() as store:
        tried(store, change)
