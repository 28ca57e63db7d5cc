"""Revocation: what the word of an office is worth once its key is stolen, and how a directory says so (D8, G14).

Pure. Whoever holds a stolen key can write any date. So what is signed after `since` never counts, and what says that
it was signed before counts as plain only when somebody else had it by then: an office that gave custody of it, or the
recipient that committed it. Without such a witness it is `doubted`: shown as such, never deleted.
"""

from dataclasses import replace
from typing import Final

from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from protocol.errors import Refused
from protocol.ids import OfficeId
from protocol.limits import CLOCK_AHEAD_US

REVOKED: Final = "revoked"


def revoked_since_us(office: OfficeRecord | None, key_id: bytes) -> int | None:
    """From when on a signature by this key of the office does not count; None for one that nobody revoked.

    The earlier of the office's revocation and the key's. A key that the record does not name goes with its office.
    """
    if office is None:
        return None
    times = [key.revoked_since_us for key in office.keys if key.key_id == key_id]
    return min((time for time in (office.revoked_since_us, *times) if time is not None), default=None)


def is_doubted(office: OfficeRecord | None, key_id: bytes, witnessed_us: int) -> bool:
    """Whether a signature of before the revocation lacks a witness: nobody else had it by then (G14)."""
    since_us = revoked_since_us(office, key_id)
    return since_us is not None and witnessed_us >= since_us


def revocations(directory: Directory) -> dict[OfficeId, int]:
    """The offices that have been revoked, or of which a key has, each with the earliest such time."""
    found: dict[OfficeId, int] = {}
    for office in directory.offices.values():
        times = [office.revoked_since_us, *(key.revoked_since_us for key in office.keys)]
        since = [time for time in times if time is not None]
        if since:
            found[office.id] = min(since)
    return found


def revoke_office(directory: Directory, address: str, since_us: int, now_us: int) -> Directory:
    """The directory in which nothing that the office signed from `since_us` on counts. The version is the ceremony's.

    A revocation may be moved to an earlier time, never to a later one: that would make forgeries good again. Raises
    `Refused` NOT_FOUND, or BAD_FIELD for a time in the future, before the office had any key, or later than before.
    """
    office = _office(directory, address)
    first_us = min((key.not_before_us for key in office.keys), default=0)
    check_since(since_us, now_us, first_us, office.revoked_since_us)
    return _with(directory, replace(office, state=REVOKED, revoked_since_us=since_us))


def revoke_key(directory: Directory, address: str, key_id: bytes, since_us: int, now_us: int) -> Directory:
    """The directory in which nothing that this one key of the office signed from `since_us` on counts.

    The office stays, with its other keys. Raises like `revoke_office`; NOT_FOUND also for a key that it does not have.
    """
    office = _office(directory, address)
    key = next((key for key in office.keys if key.key_id == key_id), None)
    if key is None:
        raise Refused("NOT_FOUND", f"{address} has no key {key_id.hex()}", field="key")
    check_since(since_us, now_us, key.not_before_us, key.revoked_since_us)
    revoked = replace(key, revoked_since_us=since_us)
    keys = tuple(revoked if one.key_id == key_id else one for one in office.keys)
    return _with(directory, replace(office, keys=keys))


def _office(directory: Directory, address: str) -> OfficeRecord:
    office = directory.by_address(address)
    if office is None:
        raise Refused("NOT_FOUND", f"{address} is not in the directory", field="address")
    return office


def check_since(since_us: int, now_us: int, first_us: int, before_us: int | None) -> None:
    """Raises `Refused` BAD_FIELD for a time of which a revocation cannot be: one in the future, one before `first_us`,
    when the key became valid, or one later than `before_us`, since when it is revoked already.
    """
    if since_us > now_us + CLOCK_AHEAD_US:
        raise Refused("BAD_FIELD", "a revocation cannot begin in the future", field="since")
    if since_us < first_us:
        raise Refused("BAD_FIELD", "that is before the key was valid", field="since")
    if before_us is not None and since_us > before_us:
        raise Refused("BAD_FIELD", "it is revoked since an earlier time, which cannot be moved forward", field="since")


def _with(directory: Directory, office: OfficeRecord) -> Directory:
    return replace(directory, offices={**directory.offices, office.id: office})
