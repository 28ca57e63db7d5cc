"""Who is still let in when space runs short: bulk and routine are refused first, flash last (DESIGN D4, D10)."""

from typing import Final, Literal

from protocol.lanes import Lane

SpaceState = Literal["ok", "low", "full"]
"""`ok`: every lane is let in. `low`: some are. `full`: not even flash."""

_QUOTA_PERCENT: Final = {Lane.FLASH: 97, Lane.URGENT: 90, Lane.PRIORITY: 90, Lane.ROUTINE: 80, Lane.BULK: 80}
"""Share of the quota up to which a lane is let in. The last 3 % belong to the book-keeping of what was accepted."""

_BALLAST_PERCENT: Final = {Lane.FLASH: 12, Lane.URGENT: 125, Lane.PRIORITY: 125, Lane.ROUTINE: 200, Lane.BULK: 200}
"""Free disk that a lane needs, in percent of the ballast: only flash may live on the ballast itself."""


def admits(lane: Lane, used_bytes: int, quota_bytes: int, free_bytes: int, ballast_bytes: int) -> bool:
    """Whether a new message of this lane may be accepted.

    `used_bytes` live pages of the store, `quota_bytes` their limit, `free_bytes` free disk including what the
    ballast holds now, `ballast_bytes` the size the ballast is meant to have. Counting the ballast as free keeps
    the answer the same before and after it is given up.
    """
    within_quota = used_bytes * 100 < quota_bytes * _QUOTA_PERCENT[lane]
    on_disk = free_bytes * 100 > ballast_bytes * _BALLAST_PERCENT[lane]
    return within_quota and on_disk


def space_state(used_bytes: int, quota_bytes: int, free_bytes: int, ballast_bytes: int) -> SpaceState:
    """The word for `status`: `ok`, `low` or `full`; same arguments as `admits`."""
    let_in = [lane for lane in Lane if admits(lane, used_bytes, quota_bytes, free_bytes, ballast_bytes)]
    if len(let_in) == len(Lane):
        return "ok"
    return "low" if let_in else "full"
