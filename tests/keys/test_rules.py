"""Changes of the network's rules: exactly what was said, the same when said twice, and nobody cut off by mistake."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.primitives import SUITES
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import TIME_MAX_US, OfficeKey
from keys.roster.rules import RulesChange, change_rules
from protocol.errors import Refused
from protocol.lanes import KINDS
from tests.keys.networks import NOW_US, directories, make_directory, make_office
from tests.sm2 import FixedSm2Key

SM_OFFICE = replace(make_office(2), keys=(OfficeKey.of(FixedSm2Key(bytes(32)).public(), 0, TIME_MAX_US),))
MIXED = replace(make_directory(make_office(1), SM_OFFICE), rules=Rules(suites=(1, 3)))

kinds = st.none() | st.frozensets(st.sampled_from(KINDS), max_size=4)
changes = st.builds(
    RulesChange,
    st.none() | st.lists(st.sampled_from(SUITES), min_size=1, max_size=5).map(tuple),
    kinds,
    kinds,
    st.sampled_from([None, "none", "copy_city"]),
)


@given(directories(), changes)
def test_what_was_said_changes_and_nothing_else(directory: Directory, change: RulesChange) -> None:
    changed = change_rules(directory, change, NOW_US, cut_off=True)
    assert replace(changed, rules=directory.rules) == directory
    before, after = directory.rules, changed.rules
    assert after.suites == (before.suites if change.suites is None else tuple(sorted(set(change.suites))))
    assert after.require_reviewer == (before.require_reviewer if (c := change.require_reviewer) is None else c)
    assert after.require_issuer == (before.require_issuer if (c := change.require_issuer) is None else c)
    bypass = {None: before.emergency_bypass, "none": None, "copy_city": "copy_city"}[change.emergency_bypass]
    assert after.emergency_bypass == bypass
    assert change_rules(changed, change, NOW_US, cut_off=True) == changed


def test_no_office_loses_its_last_key_unless_that_is_meant() -> None:
    assert change_rules(MIXED, RulesChange(suites=(2, 3)), NOW_US).rules.suites == (2, 3)
    for suites, lost in (((1,), "320002-GO"), ((3,), "320001-GO")):
        with pytest.raises(Refused, match=f"BAD_FIELD: 1 offices have no key of an allowed suite: {lost}"):
            change_rules(MIXED, RulesChange(suites=suites), NOW_US)
        assert change_rules(MIXED, RulesChange(suites=suites), NOW_US, cut_off=True).rules.suites == suites
    gone = replace(MIXED, offices={**MIXED.offices, SM_OFFICE.id: replace(SM_OFFICE, state="suspended")})
    assert change_rules(gone, RulesChange(suites=(1,)), NOW_US).rules.suites == (1,)


@pytest.mark.parametrize(
    "change",
    [
        RulesChange(suites=()),
        RulesChange(suites=(4,)),
        RulesChange(require_reviewer=frozenset({"rumour"})),
        RulesChange(require_issuer=frozenset({"rumour"})),
        RulesChange(emergency_bypass="by_air"),
    ],
)
def test_what_does_not_exist_is_refused(change: RulesChange) -> None:
    with pytest.raises(Refused, match="BAD_FIELD"):
        change_rules(MIXED, change, NOW_US)
