"""A fork of the directory is an alarm until it is over (D8)."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from keys.primitives import sha256
from protocol.ids import Digest
from relay.alarms import Alarms
from relay.forks import NAMED_MAX, Forks
from tests.world import CITY, COUNTY, make_presence

OURS, THEIRS = Digest(sha256(b"ours")), Digest(sha256(b"theirs"))


def ground(version: int) -> Any:
    return SimpleNamespace(
        trust=SimpleNamespace(version=version, digest=OURS),
        alarms=Alarms(),
        clock=SimpleNamespace(now_us=lambda: 0),
        address_of=lambda office: office.hex(),
    )


def test_another_digest_of_our_version_is_a_fork_and_nothing_else_is() -> None:
    base = ground(7)
    forks = Forks(base)
    said = make_presence(trust_version=7, trust_digest=OURS)
    for harmless in (said, replace(said, trust_version=6, trust_digest=THEIRS), replace(said, trust_version=8)):
        forks.compare(harmless)
        assert "TRUST_FORK" not in base.alarms
    forks.compare(replace(said, trust_digest=THEIRS))
    (alarm,) = base.alarms
    assert alarm.code == "TRUST_FORK"
    assert CITY.hex() in alarm.detail
    forks.compare(replace(said, office=COUNTY, trust_digest=THEIRS))
    forks.compare(said)
    (alarm,) = base.alarms
    assert COUNTY.hex() in alarm.detail
    assert CITY.hex() not in alarm.detail
    forks.compare(replace(said, office=COUNTY, trust_version=8))
    assert list(base.alarms) == []


def test_a_newer_directory_is_compared_with_what_neighbours_said() -> None:
    base = ground(7)
    forks = Forks(base)
    many = [make_presence(office=bytes((n,)) * 16, trust_version=8, trust_digest=THEIRS) for n in range(NAMED_MAX + 2)]
    for one in many:
        forks.compare(one)
    assert list(base.alarms) == []
    base.trust = SimpleNamespace(version=8, digest=OURS)
    forks.begin_again(many)
    (alarm,) = base.alarms
    assert "and 2 more" in alarm.detail
    base.trust = SimpleNamespace(version=9, digest=OURS)
    forks.begin_again(many)
    assert list(base.alarms) == []


def test_two_signed_versions_are_an_alarm_until_a_newer_directory_comes() -> None:
    base = ground(7)
    forks = Forks(base)
    forks.signed_twice("two different timestamps 9, shown by 320000-GO")
    forks.compare(make_presence(trust_version=8))
    (alarm,) = base.alarms
    assert alarm.code == "TRUST_FORK"
    assert "timestamps 9" in alarm.detail
    forks.begin_again([])
    assert list(base.alarms) == []
