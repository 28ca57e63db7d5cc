"""Who may send what to whom: the notice's rule that reports of non-liaison points go through their city.

Checked where a message is accepted and again where it arrives, since a source may not check (CONTRACT section 5).
"""

from typing import Final

from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from protocol.lanes import INCIDENT_KINDS

THROUGH_CITY: Final = frozenset({"county", "township", "university", "enterprise", "market"})
"""Classes that report to the province only with standing liaison or direct."""


def must_go_through_city(sender: OfficeRecord, recipient: OfficeRecord) -> bool:
    """Whether a message from `sender` to `recipient` is to be screened and forwarded by the sender's city."""
    return (
        recipient.office_class in ("province", "gateway")
        and sender.office_class in THROUGH_CITY
        and sender.standing not in ("liaison", "direct")
    )


def bypass_city(directory: Directory, sender: OfficeRecord, kind: str) -> OfficeRecord | None:
    """The city that must get a copy when an incident goes straight to the province; None when that is not allowed."""
    if directory.rules.emergency_bypass != "copy_city" or kind not in INCIDENT_KINDS:
        return None
    return directory.city_of(sender)


def refusal_of(
    directory: Directory, sender: OfficeRecord, recipient: OfficeRecord, kind: str, audience: frozenset[str]
) -> str | None:
    """The code with which a message is refused by rule, or None. `audience` are the addresses it goes to."""
    if not must_go_through_city(sender, recipient):
        return None
    city = bypass_city(directory, sender, kind)
    copied = city is not None and not audience.isdisjoint(directory.names_of(city.id))
    return None if copied else "NOT_LIAISON"
