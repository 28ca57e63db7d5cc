"""What an act changes, in the lines that the second administrator reads before signing it."""

import re
from dataclasses import fields, replace

import pytest

from keys.ceremony.act import Act
from keys.ceremony.effects import ENGLISH, Words, effects_of
from keys.ceremony.proposals import propose_change
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from relay.console.keys.phrases import EFFECTS
from tests.keys.networks import NOW_US, Administrator, key_of, make_office
from tests.keys.test_trust_roots import SOON_US

YEAR_US = 365 * 86_400_000_000
KEY = OfficeKey.of(key_of(77).public(), NOW_US, NOW_US + YEAR_US)
PERSON = Person.of("王强", ("issuer",), key_of(78).public(), NOW_US, NOW_US + YEAR_US)


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    return Administrator(tmp_path_factory.mktemp("effects") / "root")


def lines(admin: Administrator, office: OfficeRecord, words: Words = ENGLISH) -> list[str]:
    def change(directory: Directory, _at_us: int) -> Directory:
        return replace(directory, offices={**directory.offices, office.id: office})

    act: Act = propose_change(admin.files, change, "what it says is not what it does", SOON_US, admin.policy)
    return effects_of(admin.files, act, words)


def test_whoever_signs_sees_each_key_and_person_that_comes_or_goes(admin: Administrator) -> None:
    office = make_office(1)
    assert lines(admin, replace(office, keys=(*office.keys, KEY), persons=(PERSON,))) == [
        f"~ 320001-GO: +key {KEY.key_id.hex()} until 2027-09-21, +王强 {PERSON.key_id.hex()} as issuer until 2027-09-21"
    ]
    (key,) = office.keys
    assert lines(admin, replace(office, keys=(replace(key, revoked_since_us=NOW_US),))) == [
        f"~ 320001-GO: ~key {key.key_id.hex()} until 2255-06-05, revoked since 2026-09-21T14:13:20Z"
    ]
    assert lines(admin, replace(office, keys=(KEY,))) == [
        f"~ 320001-GO: -key {key.key_id.hex()}, +key {KEY.key_id.hex()} until 2027-09-21"
    ]


def test_a_new_office_is_shown_with_its_keys(admin: Administrator) -> None:
    office = make_office(9)
    assert lines(admin, office) == [f"+ 320009-GO 第9办公室: +key {office.keys[0].key_id.hex()} until 2255-06-05"]


def test_a_revocation_is_shown_with_its_time(admin: Administrator) -> None:
    office = replace(make_office(1), state="revoked", revoked_since_us=NOW_US)
    assert lines(admin, office) == ["~ 320001-GO: state active -> revoked, revoked since 2026-09-21T14:13:20Z"]


def test_the_lines_can_be_read_in_chinese(admin: Administrator) -> None:
    office = replace(make_office(1), persons=(PERSON,), state="revoked", revoked_since_us=NOW_US, standing="direct")
    (line,) = lines(admin, office, EFFECTS)
    assert line == (
        "~ 320001-GO: 报送资格 无 -> direct, 状态 active -> revoked, 自 2026-09-21T14:13:20Z 起吊销, "
        f"+王强 {PERSON.key_id.hex()}，角色 issuer，有效期至 2027-09-21"
    )
    for kind, english in ENGLISH.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", EFFECTS[kind])), kind
    names = {each.name for kind in (OfficeRecord, Rules) for each in fields(kind)}
    assert names - EFFECTS.keys() == {"id", "keys", "persons", "revoked_since_us"}
