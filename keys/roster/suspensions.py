"""Suspensions: the quick brake. One signature stops an office, for at most 72 hours (D8).

Pure. Wire form (`suspensions.cbor`): canonical CBOR {0 version, 1 [{0 office id, 1 since, 2 until, 3 reason}]},
sorted by office id, one entry an office. Times in microseconds; [since, until).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from keys.roster.office_record import fields, is_name, is_time, items, require, require_version
from protocol import cbor
from protocol.errors import Refused
from protocol.ids import OfficeId
from protocol.limits import OFFICE_ID_BYTES, SECOND_US

SUSPENSION_US: Final = 72 * 3_600 * SECOND_US
"""Longest suspension: over a weekend, until enough signers for a revocation can meet."""

SUSPENSIONS: Final = 500
"""Most offices suspended at once."""

SUSPENSIONS_BYTES: Final = 256 * 1024
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Suspension:
    """An office that is not to be believed in [since_us, until_us). Raises `RemoteError` MALFORMED over 72 h."""

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
    """These and one more; those that have ended by its beginning are left out.

    An office is not suspended anew while it is: 72 hours are what one holder alone may do. Raises `Refused` BAD_FIELD.
    """
    kept = tuple(each for each in suspensions if each.until_us > one.since_us)
    if any(each.office_id == one.office_id for each in kept):
        raise Refused("BAD_FIELD", "it is suspended already; to stop it for longer, revoke it", field="address")
    return (*kept, one)


def lift_suspension(suspensions: Iterable[Suspension], office_id: OfficeId, now_us: int) -> tuple[Suspension, ...]:
    """These without the office's, and without those that have ended. Raises `Refused` NOT_FOUND when it has none."""
    kept = tuple(each for each in suspensions if each.until_us > now_us)
    after = tuple(each for each in kept if each.office_id != office_id)
    if len(after) == len(kept):
        raise Refused("NOT_FOUND", "the office is not suspended", field="address")
    return after


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
