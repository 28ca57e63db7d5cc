"""Who is still let in when space runs short: bulk and routine are refused first, flash last, and whoever has most here
before the others (DESIGN D4, D10, SPEC M95).
"""

from dataclasses import dataclass
from typing import Final, Literal

from protocol.lanes import Lane

SpaceState = Literal["ok", "low", "full"]
"""`ok`: every lane is let in. `low`: some are. `full`: not even flash."""

_QUOTA_PERCENT: Final = {Lane.FLASH: 97, Lane.URGENT: 90, Lane.PRIORITY: 90, Lane.ROUTINE: 80, Lane.BULK: 80}
"""Share of the quota up to which a lane is let in. The last 3 % belong to the book-keeping of what was accepted."""

_BALLAST_PERCENT: Final = {Lane.FLASH: 12, Lane.URGENT: 125, Lane.PRIORITY: 125, Lane.ROUTINE: 200, Lane.BULK: 200}
"""Free disk that a lane needs, in percent of the ballast: only flash may live on the ballast itself."""

_TIMES_LEFT: Final = 8
"""How many times the room that is left to all lanes an office may have here: 8/9 of it, where nobody else has anything.
More would be refused later and leave less to the others; less would refuse the one correspondent of a small office."""

_RESERVE_PARTS: Final = 4
"""Which part of what is left of a lane's reserve, the room that lower lanes do not get, an office may have there: in
the end a fifth of it. On a full disk with the ballast of 16 MiB that is 5.6 MiB, more than 1,000 flash messages."""


@dataclass(frozen=True, slots=True)
class Share:
    """What an office has here: bytes on each lane, flash first."""

    by_lane: tuple[int, ...]

    @property
    def whole(self) -> int:
        """On all lanes together."""
        return sum(self.by_lane)

    def above(self, lane: Lane) -> int:
        """On a lane and those that are refused no earlier than it."""
        return sum(self.by_lane[one] for one in Lane if _QUOTA_PERCENT[one] >= _QUOTA_PERCENT[lane])


NOTHING: Final = Share((0,) * len(Lane))


def admits(
    lane: Lane, used_bytes: int, quota_bytes: int, free_bytes: int, ballast_bytes: int, share: Share = NOTHING
) -> bool:
    """Whether a new message of this lane may be accepted, of an office that has `share` here.

    `used_bytes` live pages of the store, `quota_bytes` their limit, `free_bytes` free disk including what the
    ballast holds now, `ballast_bytes` the size the ballast is meant to have. Counting the ballast as free keeps
    the answer the same before and after it is given up.
    """

    def left(of: Lane) -> tuple[int, int]:
        """Hundredths of bytes, by the quota and by the disk."""
        by_quota = quota_bytes * _QUOTA_PERCENT[of] - used_bytes * 100
        return by_quota, free_bytes * 100 - ballast_bytes * _BALLAST_PERCENT[of]

    return all(
        _is_fair(of_lane, of_all, share.whole * 100, share.above(lane) * 100)
        for of_lane, of_all in zip(left(lane), left(Lane.BULK), strict=True)
    )


def _is_fair(of_lane: int, of_all: int, whole: int, above: int) -> bool:
    """Whether there is room, and an office has no more than its share of what is left to all, or of the reserve."""
    reserve = min(of_lane, of_lane - of_all)
    return of_lane > 0 and (whole < _TIMES_LEFT * of_all or above * _RESERVE_PARTS < reserve)


def space_state(
    used_bytes: int, quota_bytes: int, free_bytes: int, ballast_bytes: int, share: Share = NOTHING
) -> SpaceState:
    """The word for `status`: `ok`, `low` or `full`; same arguments as `admits`."""
    let_in = [lane for lane in Lane if admits(lane, used_bytes, quota_bytes, free_bytes, ballast_bytes, share)]
    if len(let_in) == len(Lane):
        return "ok"
    return "low" if let_in else "full"
