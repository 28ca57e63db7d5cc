"""Urgencies, lanes, and the kinds that entitle a message to the flash lane (CONTRACT sections 3 and 11)."""

from enum import IntEnum
from typing import Final

from protocol.errors import Refused


class Lane(IntEnum):
    """A lane; the lower the number, the earlier it is served."""

    FLASH = 0
    URGENT = 1
    PRIORITY = 2
    ROUTINE = 3
    BULK = 4

    @property
    def label(self) -> str:
        """The name in topics, commands and logs: `flash`, `urgent`, ..."""
        return self.name.lower()

    @property
    def group(self) -> str:
        """The connection it rides on: `fast` for flash and urgent, else `slow` (D4)."""
        return "fast" if self <= Lane.URGENT else "slow"


GROUPS: Final = ("fast", "slow")
URGENCIES: Final = ("flash", "urgent", "priority", "routine")
LEVELS: Final = ("I", "II", "III", "IV")

KINDS: Final = (
    "report special digest phone_note incident_first incident_followup incident_final nil_report feedback "
    "correction key_points adoption_bulletin solicitation instruction supervision reminder notice letter circular"
).split()
INCIDENT_KINDS: Final = frozenset({"incident_first", "incident_followup", "incident_final"})

ORDINARY: Final = 0
INCIDENT: Final = 1
RECEIPT: Final = 2
ENTITLEMENTS: Final = (ORDINARY, INCIDENT, RECEIPT)
"""Entitlement classes of the clear header: what lets a copy onto the flash lane."""


def lane_by_label(label: str) -> Lane | None:
    """The lane called `label`, or None."""
    return next((lane for lane in Lane if lane.label == label), None)


def entitlement_of(kind: str, event_level: str | None) -> int:
    """INCIDENT for levels I and II, and for an incident kind without a level, which counts as II; else ORDINARY."""
    if event_level in ("I", "II") or (event_level is None and kind in INCIDENT_KINDS):
        return INCIDENT
    return ORDINARY


def may_ride(lane: Lane, entitlement: int) -> bool:
    """Whether a copy with this entitlement may use the lane; only flash is restricted."""
    return lane is not Lane.FLASH or entitlement in (INCIDENT, RECEIPT)


def lane_for(urgency: str, *, bulk: bool, entitlement: int) -> Lane:
    """The lane of a message.

    Raises `Refused` LANE_NOT_ALLOWED for flash without an incident, BAD_FIELD for an unknown urgency
    or for bulk with anything but routine.
    """
    if urgency not in URGENCIES:
        raise Refused("BAD_FIELD", f"unknown urgency {urgency!r}", field="urgency")
    if bulk and urgency != "routine":
        raise Refused("BAD_FIELD", "bulk goes with routine only", field="bulk")
    lane = Lane.BULK if bulk else Lane(URGENCIES.index(urgency))
    if not may_ride(lane, entitlement):
        raise Refused("LANE_NOT_ALLOWED", "flash is for incidents of level I, II or unknown", field="urgency")
    return lane


def receipt_lane(lane: Lane) -> Lane:
    """Receipts ride one lane above their message, never above flash."""
    return Lane(max(lane - 1, Lane.FLASH))
