"""Persons in the directory: what may be added and revoked, and what stays true through any history of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.approvals import standing_of
from keys.enrol.person_request import make_request, read_request
from keys.primitives import SigningKey
from keys.roster.directory import Directory
from keys.roster.office_record import ROLES, OfficeRecord, Person
from keys.roster.persons import add_person, revoke_person
from protocol.errors import Refused, RemoteError
from protocol.limits import CLOCK_AHEAD_US
from tests.keys.networks import key_of
from tests.world import (
    CLERK_KEY,
    COUNTY,
    COUNTY_ADDRESS,
    COUNTY_KEY,
    DAY_US,
    DIRECTORY,
    NOW_US,
    REVOKED_ADDRESS,
    seed,
)

NEW = key_of(900).public()
YEAR_US = 365 * DAY_US
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "revoke"]),
        st.sampled_from(["孙梅", "王芳"]),
        st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(900, 903),
        st.integers(-10, 10),
    ),
    max_size=12,
)


def office(directory: Directory) -> OfficeRecord:
    """The county."""
    return directory.offices[COUNTY]


def add(directory: Directory = DIRECTORY, name: str = "孙梅", **changes: Any) -> Directory:
    """The directory with a new reviewer of the county."""
    given: dict[str, Any] = {
        "address": COUNTY_ADDRESS, "roles": ("reviewer",), "public": NEW, "now_us": NOW_US, "valid_us": YEAR_US,
    }  # fmt: skip
    return add_person(directory, name=name, **{**given, **changes})


@given(STEPS)
def test_g10_g14_no_history_makes_a_key_good_again_or_two_of_one_person_at_a_time(steps: Any) -> None:
    """Whatever administrators do, every directory is sound, and what a revocation ended stays ended."""
    directory, now_us = DIRECTORY, NOW_US
    ended: dict[bytes, int] = {}
    for act, name, roles, number, days in steps:
        now_us += DAY_US
        try:
            if act == "add":
                directory = add(directory, name, roles=roles, public=key_of(number).public(), now_us=now_us)
            else:
                directory = revoke_person(directory, COUNTY_ADDRESS, name, now_us + days * DAY_US // 4, now_us)
        except Refused:
            continue
        assert Directory.decode(directory.encode()) == directory
        for person in office(directory).persons:
            assert person.ends_us <= ended.get(person.key_id, person.ends_us)
            ended[person.key_id] = person.ends_us
            at_us = person.ends_us
            assert standing_of(person, at_us) in ("EXPIRED", "REVOKED")
        for moment in (now_us, now_us - CLOCK_AHEAD_US):
            valid = [one.name for one in office(directory).persons if one.valid_at(moment)]
            assert len(valid) == len(set(valid))
    assert {one.key_id for one in office(directory).persons} == {*ended, *(p.key_id for p in office(DIRECTORY).persons)}


def test_a_person_is_added_with_roles_in_order_and_valid_at_once() -> None:
    after = add(roles=("issuer", "reviewer"))
    person = office(after).person("孙梅")
    assert person is not None
    assert (person.roles, person.public) == (("reviewer", "issuer"), NEW)
    assert (person.not_before_us, person.not_after_us) == (NOW_US - CLOCK_AHEAD_US, NOW_US + YEAR_US)
    others = [one for one in office(after).persons if one is not person]
    assert tuple(others) == office(DIRECTORY).persons
    assert {**after.offices, COUNTY: office(DIRECTORY)} == dict(DIRECTORY.offices)


def test_the_same_again_changes_nothing_and_more_roles_are_added() -> None:
    once = add()
    assert add(once, now_us=NOW_US + 1) == once
    more = office(add(once, roles=("clerk",))).person("孙梅")
    assert more is not None
    assert more.roles == ("reviewer", "clerk")
    assert more.not_before_us == NOW_US - CLOCK_AHEAD_US


def test_a_revoked_person_gets_a_new_key_and_the_old_one_still_verifies_what_was_before() -> None:
    revoked = revoke_person(add(), COUNTY_ADDRESS, "孙梅", NOW_US + DAY_US, NOW_US + DAY_US)
    again = add(revoked, public=key_of(901).public(), now_us=NOW_US + DAY_US)
    old, new = (one for one in office(again).persons if one.name == "孙梅")
    assert (old.valid_at(NOW_US), old.valid_at(NOW_US + DAY_US)) == (True, False)
    assert (new.not_before_us, office(again).person("孙梅")) == (NOW_US + DAY_US, new)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"address": "320999-GO"}, "NOT_FOUND", "office"),
        ({"address": REVOKED_ADDRESS}, "REVOKED", "office"),
        ({"name": "王芳"}, "BAD_FIELD", "name"),
        ({"name": ""}, "BAD_FIELD", "name"),
        ({"name": "a\nb"}, "BAD_FIELD", "name"),
        ({"roles": ()}, "BAD_FIELD", "role"),
        ({"roles": ("boss",)}, "BAD_FIELD", "role"),
        ({"roles": ("clerk", "clerk")}, "BAD_FIELD", "role"),
        ({"public": COUNTY_KEY.public()}, "BAD_FIELD", "public"),
        ({"public": CLERK_KEY.public()}, "BAD_FIELD", "public"),
        ({"public": bytes(32)}, "BAD_FIELD", "public"),
        ({"public": bytes((1,)) + bytes(31)}, "BAD_FIELD", "public"),
        ({"public": bytes(31)}, "BAD_FIELD", "public"),
        ({"valid_us": 2**53}, "BAD_FIELD", "public"),
    ],
)
def test_g10_what_cannot_be_a_person_is_refused(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        add(**changes)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_an_office_has_so_many_persons_and_no_more() -> None:
    crowd = tuple(
        Person.of(f"p{number}", ("clerk",), SigningKey.from_seed(seed(f"p{number}")).public(), 0, 1)
        for number in range(500)
    )
    full = replace(DIRECTORY, offices={**DIRECTORY.offices, COUNTY: replace(office(DIRECTORY), persons=crowd)})
    with pytest.raises(Refused, match="TOO_LARGE"):
        add(full)


@pytest.mark.parametrize(
    ("name", "since_us", "code"),
    [
        ("nobody", NOW_US, "UNKNOWN_PERSON"),
        ("王芳", NOW_US + CLOCK_AHEAD_US + 1, "BAD_FIELD"),
        ("王芳", NOW_US - 2 * DAY_US, "BAD_FIELD"),
    ],
)
def test_g14_a_revocation_has_a_person_and_a_time_that_can_be(name: str, since_us: int, code: str) -> None:
    with pytest.raises(Refused, match=code):
        revoke_person(DIRECTORY, COUNTY_ADDRESS, name, since_us, NOW_US)


def test_g14_a_revocation_is_moved_back_and_never_forward() -> None:
    revoked = revoke_person(DIRECTORY, COUNTY_ADDRESS, "王芳", NOW_US, NOW_US)
    assert revoke_person(revoked, COUNTY_ADDRESS, "王芳", NOW_US, NOW_US) == revoked
    earlier = office(revoke_person(revoked, COUNTY_ADDRESS, "王芳", NOW_US - 1, NOW_US)).person("王芳")
    # What was found out later: the lost key was stolen long before, and the person has a new one by now.
    lost = office(revoked).person("王芳")
    assert lost is not None
    again = add_person(revoked, COUNTY_ADDRESS, "王芳", ("reviewer",), key_of(901).public(), NOW_US, DAY_US)
    moved = revoke_person(again, COUNTY_ADDRESS, "王芳", NOW_US - 2, NOW_US, key_id=lost.key_id)
    assert [one.revoked_since_us for one in office(moved).persons if one.name == "王芳"] == [NOW_US - 2, None]
    with pytest.raises(Refused, match="UNKNOWN_PERSON"):
        revoke_person(again, COUNTY_ADDRESS, "孙梅", NOW_US - 2, NOW_US, key_id=lost.key_id)
    assert earlier is not None
    assert earlier.revoked_since_us == NOW_US - 1
    with pytest.raises(Refused, match="BAD_FIELD"):
        revoke_person(revoked, COUNTY_ADDRESS, "王芳", NOW_US + 1, NOW_US)


@given(st.data())
def test_g10_a_request_proves_possession_and_no_byte_of_it_can_change(data: st.DataObject) -> None:
    good = make_request(key_of(900), "孙梅", COUNTY_ADDRESS, NOW_US)
    request = read_request(good, NOW_US)
    assert (request.name, request.address, request.public) == ("孙梅", COUNTY_ADDRESS, NEW)
    at = data.draw(st.integers(0, len(good) - 1))
    changed = bytes([*good[:at], good[at] ^ data.draw(st.integers(1, 255)), *good[at + 1 :]])
    with pytest.raises(RemoteError):
        read_request(changed, NOW_US)
