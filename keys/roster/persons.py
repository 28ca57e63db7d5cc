"""Persons of an office in the directory: reviewers, issuers, clerks. Pure changes; the ceremony signs what comes out.

A person is never taken out: what was signed while the key was valid must verify for years. A lost or stolen key is
revoked, and the same person gets a new one as a second entry under the same name.
"""

from dataclasses import replace

from keys.roster.directory import Directory
from keys.roster.office_record import OFFICE_PERSONS, ROLES, OfficeRecord, Person, is_name
from keys.roster.revocation import check_since
from protocol.errors import Refused, RemoteError
from protocol.ids import OfficeId
from protocol.limits import CLOCK_AHEAD_US


def add_person(
    directory: Directory, address: str, name: str, roles: tuple[str, ...], public: bytes, now_us: int, valid_us: int
) -> Directory:
    """The directory with this person at that office, valid from now on for `valid_us`.

    The validity begins five minutes early, as far as clocks of offices may differ, but after any key before. With
    the key that the person has, roles are added to those held; nothing changes when they are there already, so that a
    second administrator can run the same command.
    Raises `Refused` NOT_FOUND for an unknown office, REVOKED for one that is, BAD_FIELD for a name, role or key that
    cannot be, a key that is in use already, or a name that still has a valid key.
    """
    office = _office(directory, address)
    if office.state == "revoked":
        raise Refused("REVOKED", f"{address} is revoked", field="office")
    if not is_name(name):
        raise Refused("BAD_FIELD", "a name is one printable line of 1 to 200 characters", field="name")
    if not roles or len(set(roles)) != len(roles) or not set(roles) <= set(ROLES):
        raise Refused("BAD_FIELD", f"roles are {', '.join(ROLES)}, each once", field="role")
    known = office.person(name)
    if known is not None and known.public == public and known.ends_us > now_us:
        return _with_person(directory, office, known, replace(known, roles=_in_order({*known.roles, *roles})))
    if known is not None and known.ends_us > now_us:
        raise Refused("BAD_FIELD", f"{name} of {address} has a valid key already; revoke it first", field="name")
    if len(office.persons) >= OFFICE_PERSONS:
        raise Refused("TOO_LARGE", f"{address} has {OFFICE_PERSONS} persons already", field="name")
    begins_us = max(now_us - CLOCK_AHEAD_US, 0 if known is None else known.ends_us)
    try:
        person = Person.of(name, _in_order(set(roles)), public, begins_us, now_us + valid_us)
        return _with_persons(directory, office, (*office.persons, person))
    except RemoteError as error:
        # Of small order, not canonical, or the key of somebody else already.
        raise Refused("BAD_FIELD", error.detail, field="public") from None


def revoke_person(
    directory: Directory, address: str, name: str, since_us: int, now_us: int, *, key_id: bytes | None = None
) -> Directory:
    """The directory in which no signature that this person makes with that key counts from `since_us` on.

    `key_id` is by default that of the latest key. A revocation may be moved to an earlier time, never to a later one,
    also when the person has a new key since. Unchanged when it says so already. Raises `Refused` NOT_FOUND for an
    unknown office, UNKNOWN_PERSON, also for a key that is not this person's, or BAD_FIELD for a time that cannot be.
    """
    office = _office(directory, address)
    person = office.person(name) if key_id is None else office.person_by_key(key_id)
    if person is not None and person.name != name:
        person = None
    if person is None:
        raise Refused("UNKNOWN_PERSON", f"{name} is no person of {address}", field="name")
    check_since(since_us, now_us, person.not_before_us, person.revoked_since_us)
    return _with_person(directory, office, person, replace(person, revoked_since_us=since_us))


def person_revocations(directory: Directory) -> dict[OfficeId, int]:
    """The offices of which a person has been revoked, each with the earliest such time."""
    found: dict[OfficeId, int] = {}
    for office in directory.offices.values():
        since = [one.revoked_since_us for one in office.persons if one.revoked_since_us is not None]
        if since:
            found[office.id] = min(since)
    return found


def _office(directory: Directory, address: str) -> OfficeRecord:
    office = directory.by_address(address)
    if office is None:
        raise Refused("NOT_FOUND", f"{address} is not in the network directory", field="office")
    return office


def _in_order(roles: set[str]) -> tuple[str, ...]:
    return tuple(role for role in ROLES if role in roles)


def _with_person(directory: Directory, office: OfficeRecord, old: Person, new: Person) -> Directory:
    if new == old:
        return directory
    return _with_persons(directory, office, tuple(new if one is old else one for one in office.persons))


def _with_persons(directory: Directory, office: OfficeRecord, persons: tuple[Person, ...]) -> Directory:
    """Raises `RemoteError` MALFORMED when the directory would be inconsistent."""
    return replace(directory, offices={**directory.offices, office.id: replace(office, persons=persons)})
