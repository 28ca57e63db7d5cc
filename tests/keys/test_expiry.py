"""What ends is due in time, once for all its kinds, and never too early to be of use."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keys.enrol.expiry import SHORT_LIFE_US, Expiry, network_expiries, office_expiries
from keys.mldsa import SecondKey
from keys.roster.office_record import OfficeKey
from tests.keys.networks import DAY_US, NOW_US, key_of, make_directory, make_office

TIMES = st.integers(0, 4_000 * DAY_US)


@given(TIMES, st.integers(1, 4_000 * DAY_US), TIMES, st.integers(1, 4_000 * DAY_US))
def test_due_begins_once_and_never_ends(since_us: int, life_us: int, at_us: int, within_us: int) -> None:
    one = Expiry(since_us + life_us, "tls", "", since_us)
    due = one.due(within_us, at_us)
    assert due or at_us < one.until_us
    assert not due or one.due(within_us, at_us + 1)
    assert not due or one.due(within_us + 1, at_us)
    if life_us < SHORT_LIFE_US:
        # Fresh, it is not due, however far ahead one looks.
        assert not one.due(within_us, since_us)
    else:
        assert due == (at_us >= one.until_us - within_us)


def test_of_each_kind_of_key_the_last_to_end_counts() -> None:
    second = SecondKey.from_seed(bytes(32)).public()
    old = OfficeKey.of(key_of(7).public(), NOW_US - 700 * DAY_US, NOW_US + DAY_US)
    new = OfficeKey.of(key_of(8).public(), NOW_US - DAY_US, NOW_US + 700 * DAY_US)
    stolen = OfficeKey.of(key_of(9).public(), NOW_US - DAY_US, NOW_US + 900 * DAY_US, NOW_US - 1)
    office = replace(make_office(1), keys=(old, new, stolen, OfficeKey.second(second, NOW_US, NOW_US + 5)))
    found = {one.what: one for one in office_expiries(office, NOW_US)}
    assert found["identity"].until_us == new.not_after_us
    assert found["second"].until_us == NOW_US + 5
    assert not found["identity"].due(30 * DAY_US, NOW_US)


def test_of_a_revoked_office_nothing_is_due() -> None:
    office = replace(make_office(1), state="revoked", revoked_since_us=NOW_US)
    named = {one.name for one in network_expiries(make_directory(office), NOW_US)}
    assert office.address not in named
