"""Which time to believe when a wall clock jumps: pure rules (G9, D12).

Two clocks are read together: the wall clock, which may be set to anything at any moment, and elapsed time, which
counts seconds since the machine started and cannot be set. Their difference, the *offset*, changes only when somebody
steps the wall clock. So a guard follows the wall clock while its offset stays near a reference, and when it jumps away
goes on by elapsed time until somebody confirms the jump. Nothing expires because a clock was set.

    FOLLOWING --wall clock leaves the reference by more than the bound--> HELD
        ^                                                                  |
        +--it comes back, or neighbours, a signed time or an operator agree with it--+

Whom to ask, and which answers count, is said at `agrees`.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from protocol.ids import Digest, OfficeId
from protocol.limits import SECOND_US

DRIFT_PER_MILLION: Final = 1_000
"""How fast the reference follows the wall clock: 86 s a day. Suspends and leap seconds are less; a clock that is moved
by five minutes again and again is not trusted for it."""

WITNESSES: Final = 2
"""Offices that must agree with a jump: one may be wrong itself, for it may have begun with a wrong clock."""

MADE_MAX: Final = 1_000
"""Most copies remembered for proving an answer fresh: what a busy office seals in a second."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment, in microseconds: since 1970, and since the machine started, time asleep included."""

    wall_us: int
    elapsed_us: int

    @property
    def offset_us(self) -> int:
        """What the wall clock says beyond elapsed time."""
        return self.wall_us - self.elapsed_us


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a guard knows, to be kept for the next process on the same start of the machine; offsets in microseconds."""

    reference_us: int
    offset_us: int


class ClockGuard:
    """Believed time from readings in the order in which they were taken."""

    __slots__ = ("_drifted_us", "_floor_us", "_jump_us", "_offset_us", "_reading", "_reference_us")

    def __init__(self, jump_us: int, reading: Reading, anchor: Anchor | None = None) -> None:
        """Begin by trusting the wall clock, or with what an earlier guard knew. `jump_us`: the bound of a jump."""
        self._jump_us = jump_us
        self._reading = reading
        self._floor_us = 0
        known = Anchor(reading.offset_us, reading.offset_us) if anchor is None else anchor
        self._reference_us, self._offset_us = known.reference_us, known.offset_us
        self._drifted_us = reading.elapsed_us
        self.believe(reading)

    @property
    def anchor(self) -> Anchor:
        """What another guard may begin with."""
        return Anchor(self._reference_us, self._offset_us)

    @property
    def reading(self) -> Reading:
        """The last reading."""
        return self._reading

    @property
    def offset_us(self) -> int:
        """The believed time beyond elapsed time."""
        return self._offset_us

    @property
    def held(self) -> bool:
        """Whether the wall clock is not followed because it jumped."""
        return abs(self._reading.offset_us - self._reference_us) > self._jump_us

    @property
    def jump_us(self) -> int:
        """How far the wall clock is ahead of the believed time (negative: behind) while it is not followed, else 0."""
        return self._reading.offset_us - self._offset_us if self.held else 0

    def believe(self, reading: Reading) -> int:
        """The believed time in microseconds since 1970.

        Between confirmations it departs from elapsed time by at most twice the bound and the drift, and never falls
        below a raised floor.
        """
        self._reading = reading
        if not self.held:
            self._offset_us = reading.offset_us
            self._drift(reading)
        low_us = self._floor_us - reading.elapsed_us
        if self._reference_us < low_us - self._jump_us:
            # The signed time proves the reference wrong: time goes on from there.
            self._reference_us = low_us
        self._offset_us = max(self._offset_us, low_us)
        return reading.elapsed_us + self._offset_us

    def raise_floor(self, floor_us: int) -> None:
        """A verified signed time: it is at least as late as that, whatever the clock says."""
        self._floor_us = max(self._floor_us, floor_us)
        self.believe(self._reading)

    def accept(self) -> bool:
        """The wall clock of the last reading is right: follow it from here. False when a signed time disproves that."""
        if self._reading.wall_us < self._floor_us - self._jump_us:
            return False
        self._reference_us = self._offset_us = self._reading.offset_us
        self.believe(self._reading)
        return True

    def _drift(self, reading: Reading) -> None:
        """Let the reference follow slowly, a second's worth at a time, so that rounding takes nothing away."""
        passed_us = reading.elapsed_us - self._drifted_us
        if passed_us < SECOND_US:
            return
        self._drifted_us = reading.elapsed_us
        most_us = passed_us * DRIFT_PER_MILLION // 1_000_000
        gap_us = self._offset_us - self._reference_us
        self._reference_us += max(-most_us, min(most_us, gap_us))


def anchor_after_restart(reading: Reading, believed_us: int, jump_us: int) -> Anchor:
    """What to begin with when the machine itself was started again and elapsed time says nothing about the gap.

    The wall clock of a machine that was off may be any time later than the last one believed. It cannot be earlier;
    then the last believed time goes on, and the wall clock counts as jumped.
    """
    if reading.wall_us >= believed_us - jump_us:
        return Anchor(reading.offset_us, reading.offset_us)
    return Anchor(believed_us - reading.elapsed_us, believed_us - reading.elapsed_us)


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a neighbour's signed time says about its clock: its offset to our elapsed time is between two values.

    `at_us` is the elapsed time at which it was heard. A broker may keep a frame back as long as it likes, so the time
    in it only says that it is *at least* so late: `most_us` is None. Only a frame that acknowledges what we ourselves
    sent a moment before is known to be fresh, and bounds from both sides.
    """

    office: OfficeId
    at_us: int
    least_us: int
    most_us: int | None


class Witnesses:
    """The clocks of neighbours, each by the testimony that says most; and what proves a frame to be fresh."""

    def __init__(self, fresh_us: int, keep_us: int) -> None:
        """An acknowledgement within `fresh_us` is fresh; testimony older than `keep_us` is forgotten."""
        self._fresh_us = fresh_us
        self._keep_us = keep_us
        self._said: dict[OfficeId, Testimony] = {}
        self._made: OrderedDict[Digest, int] = OrderedDict()

    def made(self, digests: Iterable[Digest], now_us: int) -> None:
        """Copies that this office has just sealed: nobody can have acknowledged them before this elapsed time."""
        for digest in digests:
            self._made[digest] = now_us
        while len(self._made) > MADE_MAX:
            self._made.popitem(last=False)

    def hear(self, office: OfficeId, signed_us: int, acknowledged: Iterable[Digest], now_us: int) -> None:
        """A neighbour's signed time, with what its frame acknowledges.

        A fresh word stands until the next one, or until a later time proves that clock to be ahead of it.
        """
        since_us = max((self._made.pop(digest, -1) for digest in acknowledged), default=-1)
        fresh = since_us >= 0 and now_us - since_us <= self._fresh_us
        said = Testimony(office, now_us, signed_us - now_us, signed_us - since_us if fresh else None)
        known = self._said.get(office)
        if known is not None and said.most_us is None and now_us - known.at_us <= self._keep_us:
            outdone_us = known.least_us if known.most_us is None else known.most_us
            if said.least_us < outdone_us:
                return
        self._said[office] = said

    def testimonies(self, now_us: int) -> tuple[Testimony, ...]:
        """What was heard of late at this elapsed time, one for each neighbour."""
        old = [office for office, said in self._said.items() if now_us - said.at_us > self._keep_us]
        for office in old:
            del self._said[office]
        return tuple(self._said.values())


def differing(witnesses: Iterable[Testimony], offset_us: int, bound_us: int) -> dict[OfficeId, int]:
    """Neighbours whose clocks certainly differ from this offset by more than the bound, and by how much at least."""
    found = {}
    for said in witnesses:
        if said.least_us - offset_us > bound_us:
            found[said.office] = said.least_us - offset_us
        elif said.most_us is not None and offset_us - said.most_us > bound_us:
            found[said.office] = said.most_us - offset_us
    return found


def agrees(
    witnesses: Iterable[Testimony], neighbours: Collection[OfficeId], guard: ClockGuard, bound_us: int
) -> Literal["wall", "believed", "unknown"]:
    """Which of our clocks the neighbours agree with while the wall clock is not followed.

    A jump ahead needs no fresh words: a time that has been signed is over. A jump back does, since an old frame
    kept back by a broker looks like one. It takes two offices, or all that there are, and nobody who agrees with the
    time that is believed.
    """
    wall_us, believed_us = guard.reading.offset_us, guard.offset_us
    for_wall = 0
    for said in witnesses:
        if said.office not in neighbours:
            continue
        if _is_near(said, believed_us, bound_us, certain=False):
            return "believed"
        if _is_near(said, wall_us, bound_us, certain=wall_us < believed_us):
            for_wall += 1
    enough = min(WITNESSES, len(neighbours))
    return "wall" if for_wall >= max(enough, 1) else "unknown"


def _is_near(said: Testimony, offset_us: int, bound_us: int, *, certain: bool) -> bool:
    """Whether a neighbour's clock shows the time of this offset; `certain`: by a fresh word only."""
    if said.most_us is None:
        return not certain and abs(said.least_us - offset_us) <= bound_us
    return said.least_us - bound_us <= offset_us <= said.most_us + bound_us
