"""Watches the wall clock and what is due by it.

Alarms while it jumped or differs from the neighbours', and who confirms a jump (G9, D12).

Nothing waits for it: the clock itself holds a jump back from the first reading on. Here it is decided, once a second,
whether the jump is confirmed, and what an operator is told.
"""

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from protocol.clock_guard import Testimony, agrees, differing
from protocol.errors import Refused
from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.audit.notes import RELAY
from relay.graph import graph_of
from relay.ground import Ground
from relay.store import kept_clock
from relay.store.kept_clock import KeptClock
from relay.times import span_text, time_text

LOOK_S: Final = 1.0
MOVED_US: Final = SECOND_US
"""What moved by more is written down at once."""
NAMED_MAX: Final = 5
"""Most neighbours named in an alarm, and offices in a line of the log."""

_log = structlog.get_logger()


class Timekeeper:
    """Looks after the believed time of one relay."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._kept: KeptClock | None = None
        self._directory = ground.directory

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await self._keep()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Compare the clocks, take a confirmed jump, sound and clear alarms."""
        ground = self._ground
        clock, guard = ground.clock, ground.clock.guard
        now_us = clock.now_us()
        said = ground.witnesses.testimonies(guard.reading.elapsed_us)
        bound_us = round(ground.settings.clock.skew_s * SECOND_US)
        if guard.held:
            neighbours = graph_of(ground.directory, ground.identity.office)[1]
            word = agrees(said, neighbours.keys(), guard, bound_us)
            if word == "wall":
                self._accept("neighbours")
            else:
                ground.alarms.sound("CLOCK_JUMP", now_us, _jump_text(guard.jump_us, word))
        if not guard.held:
            ground.alarms.clear("CLOCK_JUMP")
        self._compare(said, now_us, bound_us)
        self._turn()

    def _turn(self) -> None:
        """Put changes of the directory into force whose date has come, with nobody's help (keys/roster/changes.py)."""
        ground, before = self._ground, self._directory
        now = self._directory = ground.directory
        if now is before or now.version != before.version:
            return
        changed = [office for id_, office in now.offices.items() if before.offices[id_] is not office]
        _log.info("reorganised", offices=[office.address for office in changed[:NAMED_MAX]], count=len(changed))
        ground.audit.add(RELAY, "reorganised", version=now.version, offices=[one.id.hex() for one in changed])
        ground.tell_trust_takers()
        ground.kick()

    async def accept(self) -> dict[str, Any]:
        """An operator says that the wall clock is right; raises `Refused` CLOCK_TOO_EARLY where that cannot be."""
        self._ground.clock.now_us()
        if self._ground.clock.guard.held and not self._accept("operator"):
            raise Refused("CLOCK_TOO_EARLY", "the wall clock is earlier than the newest signed time of the directory")
        self.look()
        await self._keep()
        return clock_object(self._ground)

    def _accept(self, by: str) -> bool:
        guard = self._ground.clock.guard
        jump_us = guard.jump_us
        if not guard.accept():
            return False
        _log.warning("clock_jump_confirmed", by=by, jump=span_text(jump_us), ahead=jump_us > 0)
        self._ground.kick()
        return True

    def _compare(self, said: tuple[Testimony, ...], now_us: int, bound_us: int) -> None:
        """The alarm about neighbours whose clocks differ from the believed time."""
        ground = self._ground
        found = differing(said, ground.clock.guard.offset_us, bound_us)
        if found:
            ground.alarms.sound("CLOCK_SKEW", now_us, self._skew_text(found))
        else:
            ground.alarms.clear("CLOCK_SKEW")

    def _skew_text(self, found: dict[OfficeId, int]) -> str:
        widest = sorted(found.items(), key=lambda one: -abs(one[1]))
        named = [
            f"{address} is {span_text(by)} ahead" if by > 0 else f"{address} is {span_text(by)} behind"
            for address, by in ((self._ground.address_of(office), by) for office, by in widest[:NAMED_MAX])
        ]
        more = len(widest) - len(named)
        return "; ".join([*named, f"and {more} more"] if more else named)

    async def _keep(self) -> None:
        """Write down what the next start should know, when it moved and now and then."""
        ground = self._ground
        now, last = ground.clock.keep(), self._kept
        if last is not None:
            moved_us = abs(now.anchor.offset_us - last.anchor.offset_us)
            if moved_us <= MOVED_US and now.believed_us - last.believed_us < ground.settings.clock.keep_s * SECOND_US:
                return
        await ground.commit(Lane.ROUTINE, partial(kept_clock.keep, kept=now))
        self._kept = now


def clock_object(ground: Ground) -> dict[str, Any]:
    """The `clock` of `status`: the believed time, the wall clock, and whether the one follows the other."""
    believed_us = ground.clock.now_us()
    guard = ground.clock.guard
    return {
        "state": "held" if guard.held else "following",
        "believed": time_text(believed_us),
        "wall": time_text(guard.reading.wall_us),
        "offset_s": round(guard.jump_us / SECOND_US, 3),
    }


def _jump_text(jump_us: int, word: str) -> str:
    """What happened and what to do."""
    span = span_text(jump_us)
    side = f"{span} ahead of" if jump_us > 0 else f"{span} behind"
    known = "; neighbours agree with the believed time" if word == "believed" else ""
    return (
        f"the wall clock is {side} the believed time, by which messages live{known}; "
        "set it right, or if it is right run `relay clock accept`"
    )
