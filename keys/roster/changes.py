"""What an office becomes from a date on: another address, name, class, standing, superior, or part of a successor.

A planned change lies in the roster until long after its date, so that it comes into force without an administrator, and
what was written before it is judged by what held then. The office id stays, and so does the office's call sign, the
first address it had: by that it is known to brokers, whatever people call it (SPEC "Roster").
Values only: no clock. What is in force when is `Directory.at`; changes are made by keys/roster/reorganisation.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from keys.roster.office_record import (
    OFFICE_CLASSES,
    STANDINGS,
    OfficeRecord,
    choice,
    fields,
    is_time,
    items,
    require,
)
from protocol.ids import Address, OfficeId

CHANGES: Final = 2_000
"""Most changes in a roster: every office of a province once within three months."""

DATES: Final = 24
"""Most dates of changes in a roster: each costs a directory of its own in memory."""


@dataclass(frozen=True, slots=True)
class Change:
    """The place of an office from `from_us` on, as a whole. Raises `RemoteError` MALFORMED for no such place."""

    from_us: int
    office_id: OfficeId
    address: Address
    name: str
    office_class: str
    parent: OfficeId | None
    standing: str | None
    successor: OfficeId | None = None

    def __post_init__(self) -> None:
        require(is_time(self.from_us), "a change has no date")

    def applied(self, office: OfficeRecord) -> OfficeRecord:
        """The office after it; what is not of its place stays. Raises `RemoteError` MALFORMED."""
        known = self.address == office.address or office.address in office.former
        return replace(
            office,
            address=self.address,
            name=self.name,
            office_class=self.office_class,
            parent=self.parent,
            standing=self.standing,
            successor=self.successor,
            former=office.former if known else (*office.former, office.address),
        )

    def encode(self) -> dict[int, Any]:
        """The wire map."""
        return {
            0: self.from_us,
            1: self.office_id,
            2: self.address,
            3: self.name,
            4: OFFICE_CLASSES.index(self.office_class),
            5: self.parent,
            6: None if self.standing is None else STANDINGS.index(self.standing),
            7: self.successor,
        }

    @staticmethod
    def decode(value: object) -> "Change":
        """The change of a wire map; raises `RemoteError` MALFORMED. Its fields are checked where it is applied."""
        from_us, office_id, address, name, class_, parent, standing, successor = fields(value, 8, "a change")
        require(type(office_id) is bytes and type(address) is str, "a change has fields of a wrong type")
        return Change(
            from_us,
            OfficeId(office_id),
            Address(address),
            name,
            choice(class_, OFFICE_CLASSES, "a class"),
            parent,
            None if standing is None else choice(standing, STANDINGS, "a standing"),
            successor,
        )


def decode_changes(value: object) -> tuple[Change, ...]:
    """The changes of a roster; raises `RemoteError` MALFORMED."""
    return tuple(Change.decode(change) for change in items(value, CHANGES, "changes"))


def require_order(changes: Sequence[Change]) -> None:
    """By date and office, each office once at a date, not too many; raises `RemoteError` MALFORMED."""
    keys = [(change.from_us, change.office_id) for change in changes]
    require(len(changes) <= CHANGES, f"more than {CHANGES} changes")
    require(keys == sorted(set(keys)), "changes are not sorted by date and office, or one is there twice")
    require(len({change.from_us for change in changes}) <= DATES, f"changes are of more than {DATES} dates")


def apply_changes(offices: Mapping[OfficeId, OfficeRecord], changes: Sequence[Change]) -> dict[OfficeId, OfficeRecord]:
    """The offices after these changes, in their order. Raises `RemoteError` MALFORMED."""
    found = dict(offices)
    for change in changes:
        require(change.office_id in found, "a change is of an office that is not in the directory")
        found[change.office_id] = change.applied(found[change.office_id])
    return found
