"""Offices are renamed, moved and merged from a date on; what was before stays true, whatever the history."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.roster.directory import Directory
from keys.roster.office_record import OFFICE_CLASSES, STANDINGS, OfficeRecord
from keys.roster.policy import refusal_of
from keys.roster.reorganisation import KEPT_US, Reform, cancel, reorganise, settle
from protocol.errors import Refused, RemoteError
from protocol.ids import Address, OfficeId
from tests.keys.networks import DAY_US, NOW_US, key_of, make_directory, make_office

CITY, OTHER_CITY, COUNTY = make_office(1, office_class="city"), make_office(2, office_class="city"), make_office(3)
PROVINCE = replace(make_office(4, office_class="province"), standing=None)
NETWORK = make_directory(
    replace(CITY, parent=PROVINCE.id),
    replace(OTHER_CITY, parent=PROVINCE.id),
    replace(COUNTY, parent=CITY.id),
    PROVINCE,
)
NEW = Address("321322-GO")
SHUYANG = Reform(address=NEW, parent=OTHER_CITY.address)


def place(directory: Directory, office: OfficeRecord, at_us: int) -> tuple[str, OfficeId | None]:
    found = directory.at(at_us).offices[office.id]
    return found.address, found.parent


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.code


def test_a_county_goes_to_another_city_as_shuyang_did_in_1996() -> None:
    date = NOW_US + 30 * DAY_US
    planned = reorganise(NETWORK, COUNTY.address, SHUYANG, NOW_US, from_us=date)
    assert Directory.decode(planned.encode()) == planned
    assert place(planned, COUNTY, date - 1) == (COUNTY.address, CITY.id)
    assert place(planned, COUNTY, date) == (NEW, OTHER_CITY.id)
    for at_us in (0, NOW_US, date, date + 1_000 * DAY_US):
        then = planned.at(at_us)
        # Whoever uses either address, at any time, means the same office, known to brokers by its call sign.
        assert {then.by_address(one) for one in (COUNTY.address, NEW)} == {then.offices[COUNTY.id]}
        assert then.names_of(COUNTY.id) == {COUNTY.address, NEW}
        assert then.offices[COUNTY.id].call_sign == COUNTY.address
        # Old signatures verify, and new ones under the same key.
        assert then.signing_key(COUNTY.id, key_of(3).key_id(), NOW_US) == COUNTY.keys[0]
        assert then.at(NOW_US) is planned.at(NOW_US)
    assert planned.at(date).city_of(planned.at(date).offices[COUNTY.id]) == planned.at(date).offices[OTHER_CITY.id]


def test_what_was_written_before_the_date_is_judged_by_what_held_then() -> None:
    date = NOW_US + DAY_US
    rules = replace(NETWORK.rules, emergency_bypass="copy_city")
    planned = replace(reorganise(NETWORK, COUNTY.address, SHUYANG, NOW_US, from_us=date), rules=rules)

    def refused(at_us: int, *audience: str) -> str | None:
        then = planned.at(at_us)
        sender, recipient = then.offices[COUNTY.id], then.offices[PROVINCE.id]
        return refusal_of(then, sender, recipient, "incident_first", frozenset(audience))

    assert refused(date - 1, PROVINCE.address, CITY.address) is None
    assert refused(date, PROVINCE.address, CITY.address) == "NOT_LIAISON"
    assert refused(date, PROVINCE.address, OTHER_CITY.address) is None
    renamed = reorganise(planned, OTHER_CITY.address, Reform(address=Address("321300-GO")), NOW_US, from_us=date)
    then = renamed.at(date)
    for name in (OTHER_CITY.address, "321300-GO"):
        audience = frozenset((PROVINCE.address, name))
        assert refusal_of(then, then.offices[COUNTY.id], then.offices[PROVINCE.id], "incident_first", audience) is None


def test_an_office_that_is_merged_hands_its_subordinates_to_the_successor() -> None:
    date = NOW_US + DAY_US
    planned = reorganise(NETWORK, CITY.address, Reform(successor=OTHER_CITY.address), NOW_US, from_us=date)
    before, after = planned.at(date - 1), planned.at(date)
    assert after.offices[CITY.id].successor == OTHER_CITY.id
    assert after.offices[COUNTY.id].parent == OTHER_CITY.id
    assert [office.id for office in before.expand("@cities")] == [CITY.id, OTHER_CITY.id]
    assert [office.id for office in after.expand("@cities")] == [OTHER_CITY.id]
    # It keeps its keys and its place on brokers: what is on its way to it still comes.
    assert after.neighbours(COUNTY.id).keys() == before.neighbours(COUNTY.id).keys()
    assert cancel(planned, CITY.address, NOW_US) == NETWORK
    assert code_of(lambda: cancel(planned, CITY.address, date)) == "NOT_FOUND"


def test_what_cannot_be_is_refused() -> None:
    date = NOW_US + DAY_US
    planned = reorganise(NETWORK, COUNTY.address, SHUYANG, NOW_US, from_us=date)

    def change(who: OfficeRecord, reform: Reform, from_us: int | None = None) -> Callable[[], object]:
        return lambda: reorganise(planned, who.address, reform, NOW_US, from_us=from_us)

    assert code_of(change(make_office(9), SHUYANG)) == "NOT_FOUND"
    assert code_of(change(CITY, Reform(parent=Address("999999-GO")))) == "NOT_FOUND"
    assert code_of(change(CITY, Reform(successor=Address("999999-GO")))) == "NOT_FOUND"
    for taken in (NEW, COUNTY.address, PROVINCE.address):
        assert code_of(change(CITY, Reform(address=taken))) == "ADDRESS_TAKEN"
    assert code_of(change(CITY, Reform(name="x"), NOW_US - 1)) == "BAD_FIELD"
    assert code_of(change(COUNTY, Reform(name="x"))) == "BAD_FIELD"  # would be undone at the date, unsaid
    assert code_of(change(CITY, Reform(parent=COUNTY.address))) == "BAD_FIELD"
    assert code_of(change(CITY, Reform(successor=CITY.address))) == "BAD_FIELD"
    assert code_of(change(CITY, Reform(office_class="city"))) == "BAD_FIELD"  # nothing changes
    assert code_of(change(CITY, Reform(name="\n"))) == "BAD_FIELD"
    # A circle that would close at that date only.
    assert code_of(change(PROVINCE, Reform(parent=COUNTY.address), date + 1)) == "BAD_FIELD"


@given(st.data())
def test_any_history_of_changes_holds_together(data: st.DataObject) -> None:
    directory, now_us = NETWORK, NOW_US
    offices = sorted(NETWORK.offices)
    free = [Address(f"{400_000 + number}-GO") for number in range(30)]
    for _ in range(data.draw(st.integers(1, 8))):
        now_us += data.draw(st.integers(0, 40 * DAY_US))
        office = directory.at(now_us).offices[data.draw(st.sampled_from(offices))]
        others = [one.address for one in directory.at(now_us).offices.values()]
        reform = Reform(
            address=data.draw(st.none() | st.sampled_from((*free, office.call_sign))),
            name=data.draw(st.sampled_from((None, "甲", "乙"))),
            office_class=data.draw(st.none() | st.sampled_from(OFFICE_CLASSES)),
            parent=data.draw(st.none() | st.sampled_from((*others, ""))),
            standing=data.draw(st.none() | st.sampled_from(STANDINGS)),
            successor=data.draw(st.none() | st.sampled_from(others)),
        )
        from_us = data.draw(st.none() | st.integers(now_us, now_us + 60 * DAY_US))
        try:
            changed = reorganise(directory, office.address, reform, now_us, from_us=from_us)
        except Refused:
            continue
        # The second administrator, later, by whichever name; and the wire.
        again = reorganise(changed, office.call_sign, reform, now_us + DAY_US, from_us=from_us)
        assert again == changed
        assert Directory.decode(changed.encode()) == changed
        begins = now_us if from_us is None else from_us
        assert changed.at(begins - 1).offices == directory.at(begins - 1).offices
        directory = changed
    for at_us in {now_us, *(change.from_us for change in directory.changes)}:
        then = directory.at(at_us)
        for id_, office in then.offices.items():
            assert office.call_sign == NETWORK.offices[id_].address
            assert then.by_address(office.address) == office
            assert office.keys == NETWORK.offices[id_].keys
            assert all(then.by_address(name) == office for name in office.former)
    much_later = now_us + KEPT_US + data.draw(st.integers(0, 200 * DAY_US))
    settled = settle(directory, much_later)
    assert settled.at(much_later).offices == directory.at(much_later).offices
    assert all(settled.names_of(id_) == directory.names_of(id_) for id_ in offices)
    assert all(change.from_us > much_later - KEPT_US for change in settled.changes)


@given(st.integers(0, 3), st.integers(0, 3))
def test_a_roster_that_would_contradict_itself_at_some_date_is_refused_as_a_whole(first: int, second: int) -> None:
    four = [CITY, OTHER_CITY, COUNTY, PROVINCE]
    date = NOW_US + DAY_US
    planned = reorganise(NETWORK, COUNTY.address, Reform(name="甲"), NOW_US, from_us=date).changes[0]
    wrong = replace(planned, office_id=four[first].id, address=four[first].address, parent=four[second].id)
    if first in (second, 3) or (first, second) == (0, 2):
        with pytest.raises(RemoteError, match="MALFORMED"):
            replace(NETWORK, changes=(wrong,))
    else:
        made = replace(NETWORK, changes=(wrong,))
        assert made.at(date).offices[wrong.office_id].parent == four[second].id
    for bad in (
        (planned, planned),
        (replace(planned, address=CITY.address),),
        (replace(planned, office_id=OfficeId(bytes(16))),),
    ):
        with pytest.raises(RemoteError, match="MALFORMED"):
            replace(NETWORK, changes=bad)


def test_the_dates_of_a_roster_are_bounded() -> None:
    directory = NETWORK
    for number in range(24):
        directory = reorganise(directory, COUNTY.address, Reform(name=f"{number}"), NOW_US, from_us=NOW_US + number)
    assert (
        code_of(lambda: reorganise(directory, COUNTY.address, Reform(name="x"), NOW_US, from_us=NOW_US + 99))
        == "BAD_FIELD"
    )
