"""The quick brake over time: 72 hours in any two weeks, whatever the holders of its keys sign (G14)."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.ceremony.network import read_network
from keys.roster.suspensions import (
    LISTED_US,
    SLACK_US,
    SUSPENSION_US,
    Suspension,
    decode_suspensions,
    encode_suspensions,
    forgotten,
    lift_suspension,
    suspend_office,
)
from keys.trust import TrustError, TrustStore
from protocol import cbor
from protocol.errors import Refused, RemoteError
from protocol.ids import OfficeId
from tests.keys.acts import publish_suspensions
from tests.keys.networks import NOW_US, SMALL, Administrator, make_office
from tests.keys.test_trust_roots import SOON_US

HOUR_US = 3_600_000_000
OFFICES = (OfficeId(b"a" * 16), OfficeId(b"b" * 16))

hours = st.integers(0, 20 * 24)
entries = st.builds(
    lambda office, since, lasts: (OFFICES[office], since * HOUR_US, lasts * HOUR_US),
    st.integers(0, 1), st.integers(-80, 24), st.integers(1, 90),
)  # fmt: skip
acts = st.one_of(
    st.tuples(st.just("suspend"), entries),
    st.tuples(st.just("lift"), st.integers(0, 1)),
    # What no command of ours would sign: any list of a thief's.
    st.tuples(st.just("forge"), st.lists(entries, max_size=2, unique_by=lambda one: one[0])),
)


def after(listed: Sequence[Suspension], act: tuple[str, object], now_us: int) -> Sequence[Suspension]:
    """What somebody with a key of the role signs; the list as it was where our own rules refuse."""
    try:
        match act:
            case ("suspend", (bytes(office), _, int(lasts_us))):
                return suspend_office(listed, Suspension(OfficeId(office), now_us, now_us + lasts_us, "drill"))
            case ("lift", int(number)):
                return lift_suspension(listed, OFFICES[number], now_us)
            case ("forge", list(forged)):
                return [Suspension(one, now_us + at, now_us + at + lasts, "forged") for one, at, lasts in forged]
    except (Refused, RemoteError):
        # Also what is longer than 72 hours, which nobody makes and nobody reads.
        pass
    return listed


def overlap(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


@given(script=st.lists(st.tuples(hours, acts), max_size=12))
def test_g14_an_office_is_suspended_for_72_hours_in_any_two_weeks_whatever_the_holders_sign(
    script: list[tuple[int, tuple[str, object]]],
) -> None:
    believed: Sequence[Suspension] = ()
    now_us = NOW_US
    stopped: dict[OfficeId, list[tuple[int, int]]] = {office: [] for office in OFFICES}
    for pause, act in [*script, (20 * 24, ("lift", 0))]:
        then_us = now_us + pause * HOUR_US
        for one in believed:
            span = (max(now_us, one.since_us), min(then_us, one.until_us))
            if span[0] < span[1]:
                stopped[one.office_id].append(span)
        now_us = then_us
        offered = after(believed, act, now_us)
        if act[0] != "forge":
            assert forgotten(believed, offered, now_us) is None, "our own commands sign nothing that is refused"
        if forgotten(believed, offered, now_us) is None:
            believed = offered
    for spans in stopped.values():
        for begin_us, _ in spans:
            fortnight = (begin_us, begin_us + 14 * 24 * HOUR_US)
            assert sum(overlap(one, fortnight) for one in spans) <= 72 * HOUR_US


@pytest.mark.parametrize("lasts_us", [0, SUSPENSION_US + 1])
def test_g14_a_suspension_over_72_hours_or_of_none_is_not_read(lasts_us: int) -> None:
    longest = encode_suspensions([brake()])
    assert decode_suspensions(longest) == (brake(),)
    bent = cbor.loads(longest, max_bytes=1 << 20)
    bent[1][0][2] = SOON_US + lasts_us
    with pytest.raises(RemoteError, match="72 hours"):
        decode_suspensions(cbor.dumps(bent))


def brake(since_us: int = SOON_US, lasts_us: int = SUSPENSION_US) -> Suspension:
    return Suspension(make_office(1).id, since_us, since_us + lasts_us, "drill")


def test_g14_an_office_refuses_a_list_that_forgets_a_suspension_or_begins_it_anew(tmp_path: Path) -> None:
    """A thief of the key, who has the online keys too, signs past our own commands, from a state of before."""
    admin = Administrator(tmp_path / "root", policy=SMALL)
    shutil.copytree(admin.place, tmp_path / "before")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)

    def sign(place: Path, at_us: int, *listed: Suspension) -> dict[str, bytes]:
        return dict(publish_suspensions(place, listed, at_us, unlock=admin.unlock, policy=SMALL).files)

    first = store.update(sign(admin.place, SOON_US, brake()), SOON_US)
    assert first.code is None
    lapsed_us = SOON_US + SUSPENSION_US + HOUR_US
    for number, listed in enumerate(((), (brake(lapsed_us),), (brake(SOON_US + 1, HOUR_US),))):
        thief = shutil.copytree(tmp_path / "before", tmp_path / f"thief-{number}")
        sign(thief, SOON_US)
        refused = store.update(sign(thief, lapsed_us, *listed), lapsed_us)
        assert (refused.code, refused.trust.suspensions) == ("TRUST_ROLLBACK", (brake(),))
        assert refused.trust.suspended(lapsed_us) == frozenset()
    # Nor do our own commands make such a list, nor one that could not be left out for years.
    with pytest.raises(TrustError, match="TRUST_ROLLBACK"):
        sign(admin.place, lapsed_us)
    with pytest.raises(TrustError, match="TRUST_MALFORMED"):
        sign(admin.place, lapsed_us, brake(), replace(brake(lapsed_us + SLACK_US + 1), office_id=make_office(2).id))
    # Moved within its 72 hours, and let go when its time to be listed is over.
    shorter = replace(brake(), until_us=SOON_US + 1, reason="an error")
    assert store.update(sign(admin.place, lapsed_us, shorter), lapsed_us).trust.suspensions == (shorter,)
    late_us = SOON_US + LISTED_US
    again = brake(late_us)
    assert suspend_office((shorter,), again) == (again,)
    taken = store.update(sign(admin.place, late_us, again), late_us)
    assert (taken.code, taken.trust.suspended(late_us)) == (None, {make_office(1).id})
    assert read_network(admin.place).suspensions == (again,)
