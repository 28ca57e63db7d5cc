"""The network of tests/world.py with SM2 keys only: the same offices, ids and times, suite 3 and no other.

Its signers and wraps draw no random numbers, so that what they make is the same each time.
"""

from dataclasses import replace
from typing import Final

from keys.primitives import PrekeyPrivate, key_id
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from tests.sm2 import FixedSm2Key, FixedSm2Public
from tests.world import (
    CITY,
    COUNTY,
    DAY_US,
    DIRECTORY,
    NOW_US,
    PREKEY_SEED,
    PROVINCE,
    make_header,
    seed,
)

COUNTY_KEY: Final = FixedSm2Key(seed("county"))
CITY_KEY: Final = FixedSm2Key(seed("city"))
PROVINCE_KEY: Final = FixedSm2Key(seed("province"))
REVIEWER_KEY: Final = FixedSm2Key(seed("reviewer"))

PREKEY: Final = PrekeyPrivate(3, PREKEY_SEED)
PREKEY_PUBLIC: Final = FixedSm2Public(FixedSm2Key(PREKEY_SEED).public())
PREKEY_ID: Final = key_id(3, FixedSm2Key(PREKEY_SEED).public())


def _with_key(office: OfficeRecord, key: FixedSm2Key, *persons: Person) -> OfficeRecord:
    made = OfficeKey.of(key.public(), NOW_US - 100 * DAY_US, NOW_US + 300 * DAY_US)
    return replace(office, keys=(made,), persons=persons)


def make_directory(suites: tuple[int, ...] = (3,)) -> Directory:
    """The directory of the three offices that are not revoked."""
    reviewer = Person.of("陈静", ("reviewer",), REVIEWER_KEY.public(), NOW_US - DAY_US, NOW_US + 300 * DAY_US)
    offices = (
        _with_key(DIRECTORY.offices[COUNTY], COUNTY_KEY, reviewer),
        _with_key(DIRECTORY.offices[CITY], CITY_KEY),
        _with_key(DIRECTORY.offices[PROVINCE], PROVINCE_KEY),
    )
    return replace(DIRECTORY, offices={office.id: office for office in offices}, rules=Rules(suites=suites))


SM_DIRECTORY: Final = make_directory()

HEADER: Final = make_header(suite=3, prekey_id=PREKEY_ID)
"""Of the report's copy for the province."""
