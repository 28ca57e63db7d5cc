"""Suspensions: the quick brake. One signature stops an office, for at most 72 hours in any fourteen days (D8).

Whoever holds a key of the role could suspend an office again whenever it lapsed, for ever. So a suspension stays listed
for a while after its end, and within 14 days of its beginning the office is not suspended anew: by then those who can
revoke it, or take the key away, have met. Every office holds the list to the one that it knew before (`forgotten`).
Pure. Wire form (`suspensions.cbor`): canonical CBOR {0 version, 1 [{0 office id, 1 since, 2 until, 3 reason}]},
sorted by office id, one entry an office. Times in microseconds; [since, until).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from keys.roster.office_record import fields, is_name, is_time, items, require, require_version
from keys.times import utc_text
from protocol import cbor
from protocol.errors import Refused
from protocol.ids import OfficeId
from protocol.limits import OFFICE_ID_BYTES, SECOND_US

SUSPENSION_US: Final = 72 * 3_600 * SECOND_US
"""Longest suspension: over a weekend, until enough signers for a revocation can meet."""

REST_US: Final = 14 * 24 * 3_600 * SECOND_US
"""From the beginning of one suspension of an office to that of the next."""

SLACK_US: Final = 24 * 3_600 * SECOND_US
"""Clocks of administrators may differ: nothing begins more than a day after it was signed, and an entry that need not
be listed any more stays for a day."""

LISTED_US: Final = REST_US + SLACK_US
"""How long a suspension is listed, from its beginning."""

SUSPENSIONS: Final = 500
"""Most offices listed: suspended now, or in the last two weeks."""

SUSPENSIONS_BYTES: Final = 256 * 1024
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Suspension:
    """An office that is not to be believed in [since_us, until_us). Raises `RemoteError` MALFORMED over 72 h.

    `until_us` may be moved within these 72 hours, `since_us` never.
    """

    office_id: OfficeId
    since_us: int
    until_us: int
    reason: str

    def __post_init__(self) -> None:
        require(
            type(self.office_id) is bytes and len(self.office_id) == OFFICE_ID_BYTES, "an office id is not 16 bytes"
        )
        require(is_time(self.since_us) and is_time(self.until_us), "a suspension has no times")
        require(0 < self.until_us - self.since_us <= SUSPENSION_US, "a suspension is longer than 72 hours, or empty")
        require(is_name(self.reason), "a suspension's reason is empty, too long or not printable")

    def covers(self, at_us: int) -> bool:
        """Whether the office is suspended at this time."""
        return self.since_us <= at_us < self.until_us


def suspend_office(suspensions: Iterable[Suspension], one: Suspension) -> tuple[Suspension, ...]:
    """These and one more, without those whose time to be listed is over by its beginning.

    Of an office that is listed, the suspension goes on, or is taken up again, within 72 hours of when it began: more is
    not for one holder alone. Raises `Refused` BAD_FIELD.
    """
    kept = _listed(suspensions, one.since_us)
    before = next((each for each in kept if each.office_id == one.office_id), None)
    if before is None:
        return (*kept, one)
    if one.until_us > before.since_us + SUSPENSION_US:
        until, again = (utc_text(before.since_us + us) for us in (SUSPENSION_US, LISTED_US))
        detail = f"it was suspended before: this one ends by {until}, and another begins from {again} on"
        raise Refused("BAD_FIELD", f"{detail}; to stop it for longer, revoke it", field="address")
    longer = replace(before, until_us=one.until_us, reason=one.reason)
    return tuple(longer if each is before else each for each in kept)


def lift_suspension(suspensions: Iterable[Suspension], office_id: OfficeId, now_us: int) -> tuple[Suspension, ...]:
    """These with the office's ended now. Raises `Refused` NOT_FOUND when none of it goes on."""
    kept = _listed(suspensions, now_us)
    found = next((each for each in kept if each.office_id == office_id and each.until_us > now_us), None)
    if found is None:
        raise Refused("NOT_FOUND", "the office is not suspended", field="address")
    ended = replace(found, until_us=max(now_us, found.since_us + 1))
    return tuple(ended if each is found else each for each in kept)


def forgotten(before: Iterable[Suspension], after: Iterable[Suspension], signed_us: int) -> Suspension | None:
    """What a list signed at this time leaves out of the list before it, or begins anew, too early; None: nothing."""
    listed = {one.office_id: one.since_us for one in after}
    early = (one for one in before if one.since_us + REST_US > signed_us)
    return next((one for one in early if listed.get(one.office_id) != one.since_us), None)


def _listed(suspensions: Iterable[Suspension], now_us: int) -> tuple[Suspension, ...]:
    return tuple(each for each in suspensions if each.since_us + LISTED_US > now_us)


def encode_suspensions(suspensions: Iterable[Suspension]) -> bytes:
    """The file of these suspensions; raises `RemoteError` MALFORMED for an office named twice or too many."""
    ordered = sorted(suspensions, key=lambda one: one.office_id)
    require(len(ordered) <= SUSPENSIONS, "too many suspensions")
    require(len({one.office_id for one in ordered}) == len(ordered), "an office is suspended twice")
    entries: list[Any] = [{0: one.office_id, 1: one.since_us, 2: one.until_us, 3: one.reason} for one in ordered]
    return cbor.dumps({0: _VERSION, 1: entries})


def decode_suspensions(data: bytes) -> tuple[Suspension, ...]:
    """The suspensions of a file. Raises `RemoteError` TOO_LARGE, BAD_VERSION or MALFORMED."""
    value = cbor.loads(data, max_bytes=SUSPENSIONS_BYTES)
    require_version(value, _VERSION, "the suspensions")
    _, entries = fields(value, 2, "the suspensions")
    suspensions = tuple(
        Suspension(*fields(entry, 4, "a suspension")) for entry in items(entries, SUSPENSIONS, "entries")
    )
    ids = [one.office_id for one in suspensions]
    require(ids == sorted(set(ids)), "suspensions are not sorted by office, or one is there twice")
    return suspensions
