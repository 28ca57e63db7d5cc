"""Reorganisation: from a date on an office has another address, name, class, standing or superior, or a successor.

Pure changes of the directory. In 1996 the county of Shuyang left one city for another and got a new code with it: it
stayed the same office, with the same keys, the same mail on its way and the same past (keys/roster/changes.py).
"""

from dataclasses import dataclass, replace
from typing import Final

from keys.roster.changes import Change
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from protocol.errors import Refused, RemoteError
from protocol.ids import Address, OfficeId
from protocol.limits import MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US

KEPT_US: Final = MAX_LIFE_US + RECEIPT_EXTRA_LIFE_US
"""How long a change stays listed after its date: until nothing that was written before it can arrive any more."""


@dataclass(frozen=True, slots=True)
class Reform:
    """What changes; None leaves it as it is. `parent` "" makes it an office without a superior."""

    address: Address | None = None
    name: str | None = None
    office_class: str | None = None
    parent: Address | str | None = None
    standing: str | None = None
    successor: Address | None = None


def reorganise(
    directory: Directory, address: Address, reform: Reform, now_us: int, *, from_us: int | None = None
) -> Directory:
    """The directory with this change from `from_us` on, by default from now.

    An office that gets a successor hands its subordinate offices to it. Running it again changes nothing, also later
    and without a date. Raises `Refused`: NOT_FOUND for an office, parent or successor that is not there, ADDRESS_TAKEN
    for an address that another office has, had or will have, BAD_FIELD for a date in the past, before a change that is
    planned already, or for what cannot be.
    """
    office = _office(directory, address, "address")
    last = [change for change in directory.changes if change.office_id == office.id][-1:]
    if last and from_us in (None, last[0].from_us) and _says(directory, last[0], reform):
        return directory
    at_us = now_us if from_us is None else from_us
    if at_us < now_us:
        raise Refused("BAD_FIELD", "a change begins now or later", field="from")
    then = directory.at(at_us)
    before = then.offices[office.id]
    if reform.address is not None:
        holder = directory.by_address(reform.address)
        if holder is not None and holder.id != office.id:
            raise Refused("ADDRESS_TAKEN", f"{holder.address} has, had or will have it", field=reform.address)
    place = _place(directory, before, reform)
    if place == _place(directory, before, Reform()):
        raise Refused("BAD_FIELD", f"{before.address} is so already", field="address")
    changes = [Change(at_us, office.id, *place)]
    heir = changes[0].successor
    if heir is not None:
        below = [one for one in then.offices.values() if one.parent == office.id and one.id != heir]
        changes += [_moved(one, heir, at_us) for one in below]
    # A change says where an office is as a whole: one that is planned for later would undo this one unsaid.
    later = {one.office_id for one in directory.changes if one.from_us >= at_us} & {one.office_id for one in changes}
    if later:
        names = " ".join(sorted(then.offices[one].address for one in later))
        raise Refused("BAD_FIELD", f"later changes are planned of {names}; cancel them first", field="from")
    return _with(directory, changes)


def cancel(directory: Directory, address: Address, now_us: int) -> Directory:
    """The directory without the changes of an office that have not begun. Raises `Refused` NOT_FOUND when none is."""
    office = _office(directory, address, "address")
    heirs = {one.from_us: one.successor for one in directory.changes if one.office_id == office.id}

    def goes(one: Change) -> bool:
        """Whether it is of the office, or of one below it that was to go to its successor with it."""
        if one.from_us <= now_us or one.from_us not in heirs:
            return False
        before = directory.at(one.from_us - 1).offices[one.office_id]
        return one.office_id == office.id or (before.parent == office.id and one.parent == heirs[one.from_us])

    kept = tuple(one for one in directory.changes if not goes(one))
    if kept == directory.changes:
        raise Refused("NOT_FOUND", f"no change of {address} is planned", field=address)
    return _checked(directory, kept)


def settle(directory: Directory, now_us: int) -> Directory:
    """The same directory with long past changes written into its offices: nothing that can arrive asks for them."""
    over_us = now_us - KEPT_US
    done = [change for change in directory.changes if change.from_us <= over_us]
    if not done:
        return directory
    left = tuple(change for change in directory.changes if change.from_us > over_us)
    return replace(directory, offices=directory.at(over_us).offices, changes=left)


def _says(directory: Directory, change: Change, reform: Reform) -> bool:
    """Whether a planned change is what is asked for: the second administrator runs the same command."""
    before = directory.at(change.from_us - 1).offices[change.office_id]
    wanted = Change(change.from_us, change.office_id, *_place(directory, before, reform))
    return wanted == change


def _place(
    directory: Directory, before: OfficeRecord, reform: Reform
) -> tuple[Address, str, str, OfficeId | None, str | None, OfficeId | None]:
    """The place of the office after the change. Raises `Refused` NOT_FOUND."""
    parent = before.parent
    if reform.parent is not None:
        parent = None if reform.parent == "" else _office(directory, Address(reform.parent), "parent").id
    heir = before.successor
    if reform.successor is not None:
        heir = _office(directory, reform.successor, "successor").id
    return (
        before.address if reform.address is None else reform.address,
        before.name if reform.name is None else reform.name,
        before.office_class if reform.office_class is None else reform.office_class,
        parent,
        before.standing if reform.standing is None else reform.standing,
        heir,
    )


def _moved(office: OfficeRecord, parent: OfficeId, at_us: int) -> Change:
    """A subordinate office that goes to the successor with the one above it."""
    return Change(
        at_us, office.id, office.address, office.name, office.office_class, parent, office.standing, office.successor
    )


def _office(directory: Directory, address: Address, field: str) -> OfficeRecord:
    office = directory.by_address(address)
    if office is None:
        raise Refused("NOT_FOUND", f"{address} is not in the directory", field=field)
    return office


def _with(directory: Directory, changes: list[Change]) -> Directory:
    """The directory with more changes."""
    ordered = sorted((*directory.changes, *changes), key=lambda one: (one.from_us, one.office_id))
    return _checked(directory, tuple(ordered))


def _checked(directory: Directory, changes: tuple[Change, ...]) -> Directory:
    """The directory with exactly these changes. Raises `Refused` BAD_FIELD for one that cannot be at some date."""
    try:
        return replace(directory, changes=changes)
    except RemoteError as error:
        raise Refused("BAD_FIELD", error.detail) from error
