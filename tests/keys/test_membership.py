"""Offices are taken in by a pure change: once each, with keys that nobody else has, however often it is run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.enrol.enrolment import EnrolmentRequest, Wish, make_request
from keys.primitives import SigningKey
from keys.roster.directory import Directory
from keys.roster.membership import Decision, admit, admitted
from keys.roster.office_record import OfficeKey
from keys.roster.reorganisation import Reform, reorganise
from protocol.errors import Refused
from protocol.ids import Address, OfficeId
from tests.enrolling import ADDRESS, ID, IDENTITY, SECOND, request, request_of, wanted
from tests.world import (
    CITY,
    CITY_ADDRESS,
    CLERK_KEY,
    COUNTY,
    COUNTY_ADDRESS,
    COUNTY_KEY,
    DAY_US,
    DIRECTORY,
    LOST_KEY,
    NOW_US,
    OLD_KEY,
    seed,
)

AS_WISHED = Decision()


def signed_by(key: SigningKey, **changes: object) -> EnrolmentRequest:
    """Jianhu's request with another identity key."""
    return make_request(wanted(identity=key.public(), **changes), key, SECOND)


def code_of(*requests: EnrolmentRequest, decision: Decision = AS_WISHED, reserved: tuple[bytes, ...] = ()) -> str:
    """The code with which this batch is refused."""
    with pytest.raises(Refused) as caught:
        admit(DIRECTORY, requests, decision, NOW_US, reserved=reserved)
    return caught.value.code


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True), st.integers(0, 8))
def test_any_batch_in_any_parts_gives_the_same_offices(numbers: list[int], cut: int) -> None:
    batch = [request_of(number) for number in numbers]
    at_once = admit(DIRECTORY, batch, AS_WISHED, NOW_US)
    first = admit(DIRECTORY, batch[:cut], AS_WISHED, NOW_US)
    assert admit(first, batch[cut:], AS_WISHED, NOW_US) == at_once
    assert Directory.decode(at_once.encode()) == at_once
    assert set(at_once.offices) == set(DIRECTORY.offices) | {one.office_id for one in batch}
    assert all(at_once.offices[id_] == office for id_, office in DIRECTORY.offices.items())
    # The second administrator runs the same command later.
    assert admit(at_once, batch, AS_WISHED, NOW_US + DAY_US) == at_once
    assert all(admitted(at_once, one) for one in batch)


def test_what_the_administrator_says_goes_over_what_the_office_wished() -> None:
    office = admit(DIRECTORY, [request()], AS_WISHED, NOW_US).by_address(ADDRESS)
    assert office is not None
    assert (office.id, office.office_class, office.parent, office.brokers) == (ID, "county", CITY, ("yancheng",))
    assert {key.suite for key in office.keys} == {0, 128}
    assert DIRECTORY.signing_key(COUNTY, COUNTY_KEY.key_id(), NOW_US)
    decided = Decision("建湖", "stationed", COUNTY_ADDRESS, "direct", ())
    office = admit(DIRECTORY, [request()], decided, NOW_US).by_address(ADDRESS)
    assert office is not None
    assert (office.name, office.office_class, office.parent) == ("建湖", "stationed", COUNTY)
    assert (office.standing, office.brokers) == ("direct", ())


def test_a_parent_may_be_in_the_same_batch() -> None:
    child = request_of(1, wish=Wish("", "township", ADDRESS))
    found = admit(DIRECTORY, [child, request()], AS_WISHED, NOW_US)
    assert found.offices[child.office_id].parent == ID
    assert found.offices[child.office_id].name == child.address


def test_g10_no_key_address_or_id_is_taken_twice() -> None:
    twin = request_of(1)
    assert code_of(request(network="other")) == "WRONG_NETWORK"
    assert code_of(twin, twin) == "ADDRESS_TAKEN"
    assert code_of(request_of(1, office_id=COUNTY)) == "ADDRESS_TAKEN"
    for held in (COUNTY_KEY, OLD_KEY, LOST_KEY, CLERK_KEY):
        assert code_of(signed_by(held)) == "KEY_REUSED"
    assert code_of(request(), reserved=(IDENTITY.public(),)) == "KEY_REUSED"
    # Two offices with one key, in one batch and one after the other.
    other = make_request(replace(twin, identity=IDENTITY.public()), IDENTITY, SECOND_OF_1)
    assert code_of(request(), other) == "KEY_REUSED"
    second = make_request(replace(twin, second=SECOND.public()), IDENTITY_OF_1, SECOND)
    assert code_of(request(), second) == "KEY_REUSED"
    with pytest.raises(Refused, match="KEY_REUSED"):
        admit(admit(DIRECTORY, [request()], AS_WISHED, NOW_US), [other], AS_WISHED, NOW_US)
    moved = request_of(2, address=COUNTY_ADDRESS)
    assert code_of(moved) == "ADDRESS_TAKEN"


def test_what_cannot_be_in_a_directory_is_named() -> None:
    assert code_of(request(wish=Wish())) == "BAD_FIELD"
    assert code_of(request(wish=Wish("", "county", Address("999999-GO")))) == "BAD_FIELD"
    assert code_of(request(), decision=Decision(parent=ADDRESS)) == "BAD_FIELD"
    assert code_of(request(), decision=Decision(office_class="kingdom")) == "BAD_FIELD"
    around = (
        request_of(1, wish=Wish("", "township", ADDRESS)),
        request(wish=Wish("", "county", request_of(1).address)),
    )
    assert code_of(*around) == "BAD_FIELD"


def test_renewed_keys_stand_beside_the_old_ones() -> None:
    def renewal(key: SigningKey, **changes: object) -> EnrolmentRequest:
        said = wanted(kind="renew", office_id=COUNTY, address=COUNTY_ADDRESS, **changes)
        return make_request(said, IDENTITY, SECOND, key)

    renewed = admit(DIRECTORY, [renewal(COUNTY_KEY)], AS_WISHED, NOW_US)
    before, after = DIRECTORY.offices[COUNTY], renewed.offices[COUNTY]
    assert set(before.keys) < set(after.keys)
    assert replace(after, keys=before.keys) == before
    assert renewed.signing_key(COUNTY, IDENTITY.key_id(), NOW_US) == after.keys[0]
    assert admit(renewed, [renewal(COUNTY_KEY)], AS_WISHED, NOW_US + DAY_US) == renewed
    for key in (OLD_KEY, LOST_KEY, IDENTITY):
        assert code_of(renewal(key)) == "BAD_REQUEST"
    stranger = make_request(
        wanted(kind="renew", office_id=OfficeId(seed("no office")[:16])), IDENTITY, SECOND, COUNTY_KEY
    )
    assert code_of(stranger) == "NOT_FOUND"
    assert isinstance(after.keys[0], OfficeKey)
    assert DIRECTORY.by_address(CITY_ADDRESS) == renewed.by_address(CITY_ADDRESS)


IDENTITY_OF_1 = SigningKey.from_seed(seed("township 1"))
SECOND_OF_1 = type(SECOND).from_seed(seed("township 1, second"))


def test_an_office_that_was_renamed_renews_its_keys_under_any_of_its_names() -> None:
    new = Address("321322-GO")
    planned = reorganise(DIRECTORY, COUNTY_ADDRESS, Reform(address=new), NOW_US, from_us=NOW_US + DAY_US)
    for name in (COUNTY_ADDRESS, new):
        for at_us in (NOW_US, NOW_US + 2 * DAY_US):
            said = wanted(kind="renew", office_id=COUNTY, address=name)
            renewed = admit(planned, [make_request(said, IDENTITY, SECOND, COUNTY_KEY)], AS_WISHED, at_us)
            office = renewed.at(at_us).offices[COUNTY]
            assert office.keys[0].public == IDENTITY.public()
            assert office.call_sign == COUNTY_ADDRESS
            assert renewed.changes == planned.changes
    below = admit(planned, [request(wish=Wish("", "county", new))], AS_WISHED, NOW_US)
    assert below.offices[ID].parent == COUNTY
    assert admit(DIRECTORY, [request_of(1, address=new)], AS_WISHED, NOW_US).by_address(new) is not None
    with pytest.raises(Refused, match="ADDRESS_TAKEN"):
        admit(planned, [request_of(1, address=new)], AS_WISHED, NOW_US)
