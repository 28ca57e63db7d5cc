"""What a revocation says and what it does to signatures, for any directory and any time (D8, G14)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.roster.directory import Directory
from keys.roster.office_record import OfficeKey
from keys.roster.revocation import is_doubted, revocations, revoke_key, revoke_office, revoked_since_us
from protocol.errors import Refused
from protocol.limits import CLOCK_AHEAD_US, TIME_MAX_US
from tests import world
from tests.keys.networks import directories, make_directory, make_office, times

COUNTY = world.DIRECTORY.offices[world.COUNTY]


@given(directories().filter(lambda one: len(one.offices) > 0), st.data())
def test_g14_a_revocation_changes_one_office_and_is_never_moved_forward(
    directory: Directory, data: st.DataObject
) -> None:
    office = data.draw(st.sampled_from(list(directory.offices.values())))
    since_us, now_us = data.draw(times), data.draw(times)
    first_us = min((key.not_before_us for key in office.keys), default=0)
    before_us = office.revoked_since_us
    sound = first_us <= since_us <= now_us + CLOCK_AHEAD_US and (before_us is None or since_us <= before_us)
    if not sound:
        with pytest.raises(Refused, match="BAD_FIELD"):
            revoke_office(directory, office.address, since_us, now_us)
        return
    after = revoke_office(directory, office.address, since_us, now_us)
    wanted = replace(office, state="revoked", revoked_since_us=since_us)
    assert after.offices == {**directory.offices, office.id: wanted}
    assert Directory.decode(after.encode()) == after
    assert after.version == directory.version
    assert office.id in revocations(after)
    for key in office.keys:
        at_us = data.draw(times)
        assert after.has_key(office.id, key.key_id, at_us) is (
            directory.has_key(office.id, key.key_id, at_us) and at_us < since_us
        )


@given(st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=3), st.data())
def test_g14_one_key_goes_and_the_others_stay(revoked: list[int | None], data: st.DataObject) -> None:
    keys = tuple(
        OfficeKey.of(world.SigningKey.from_seed(bytes([n]) * 32).public(), 10, TIME_MAX_US, since)
        for n, since in enumerate(revoked, 1)
    )
    directory = make_directory(replace(make_office(1), keys=keys))
    at, since_us = data.draw(st.integers(0, len(keys) - 1)), data.draw(st.integers(0, 120))
    before_us = keys[at].revoked_since_us
    if not 10 <= since_us <= 100 or (before_us is not None and since_us > before_us):
        with pytest.raises(Refused, match="BAD_FIELD"):
            revoke_key(directory, "320001-GO", keys[at].key_id, since_us, 100 - CLOCK_AHEAD_US)
        return
    (office,) = revoke_key(directory, "320001-GO", keys[at].key_id, since_us, 100 - CLOCK_AHEAD_US).offices.values()
    assert office.state == "active"
    assert [key.revoked_since_us for key in office.keys] == [
        since_us if n == at else since for n, since in enumerate(revoked)
    ]


@given(st.none() | st.integers(0, 20), st.none() | st.integers(0, 20), st.integers(0, 25))
def test_g14_the_earlier_of_both_revocations_counts_and_a_witness_must_be_earlier_still(
    of_office: int | None, of_key: int | None, witnessed: int
) -> None:
    key = replace(COUNTY.keys[0], revoked_since_us=of_key)
    state = "active" if of_office is None else "revoked"
    office = replace(COUNTY, keys=(key,), state=state, revoked_since_us=of_office)
    times_ = [time for time in (of_office, of_key) if time is not None]
    assert revoked_since_us(office, key.key_id) == (min(times_) if times_ else None)
    assert is_doubted(office, key.key_id, witnessed) is any(witnessed >= time for time in times_)
    assert revoked_since_us(office, bytes(16)) == of_office
    assert revoked_since_us(None, key.key_id) is None


def test_what_is_not_in_the_directory_cannot_be_revoked() -> None:
    for wrong in (
        lambda: revoke_office(world.DIRECTORY, "999999-GO", 0, 0),
        lambda: revoke_key(world.DIRECTORY, world.COUNTY_ADDRESS, bytes(16), 0, 0),
    ):
        with pytest.raises(Refused, match="NOT_FOUND"):
            wrong()
