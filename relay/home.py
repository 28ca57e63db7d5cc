"""The life of this home: what our own records tell us about it, and what we do then (D11, G12, SPEC M61).

A record of ours that we never signed: the home was restored from an older state, or a clone of it is at work. Then a
new epoch is recorded before anything more is said: numbers begin anew, what may have been handed out before is marked,
and an alarm sounds until an operator accepts what happened.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from keys.verify import VerifiedWitness
from protocol.ids import Epoch, StartId
from protocol.lanes import Lane
from protocol.life import Finding, Life
from protocol.limits import EPOCH_BYTES, SECOND_US, START_BYTES
from protocol.moment import Moment
from relay.ground import Ground
from relay.store import lives
from relay.store.lives import Cause
from relay.times import time_text

SEEN_AGAIN_US: Final = 60 * SECOND_US
"""A clone that is seen again and again is written down at most this often: for so long ahead it counts as seen."""
CODES: Final = ("RESTORED", "CLONED")

_log = structlog.get_logger()


class Home:
    """Judges our own records; `renew` makes every connection anew, so that neighbours hear the new start."""

    def __init__(self, ground: Ground, renew: Callable[[], None]) -> None:
        self._ground = ground
        self._renew = renew
        self._causes: list[Cause] = []
        self._changing = asyncio.Lock()
        self.doubt_us = ground.identity.life.doubt_us
        """What was created up to this time may have been handed out in another life of this home."""

    async def load(self) -> None:
        """After a start: what no operator has accepted sounds again."""
        self._causes = await self._ground.store.read(lives.causes)
        for cause in self._causes:
            self._ground.alarms.sound(cause.code, cause.since_us, cause.detail)

    async def hear(self, witness: VerifiedWitness, shown_by: str) -> None:
        """A record of our own, shown by a neighbour or kept by a broker. Nothing happens for what we know."""
        if self._judge(witness) is not Finding.OURS:
            # Whoever brought it may go away meanwhile; a start that is recorded must be gone on in.
            await self._ground.finish(self._act(witness, shown_by))

    async def _act(self, witness: VerifiedWitness, shown_by: str) -> None:
        async with self._changing:
            finding = self._judge(witness)
            if finding.parts_lives:
                await self._part(finding, witness, shown_by)
            elif finding is Finding.CLONE_SEEN:
                await self._see_again(witness, shown_by)
            elif finding is Finding.KNOWN and self._life.must_rise(witness.moment, witness.signed_us):
                await self._begin(partial(lives.begin, life=self._life), witness.moment)

    async def accept(self) -> dict[str, Any]:
        """An operator knows what happened: the alarms end. The life as it is now."""
        async with self._changing:
            await self._ground.commit(Lane.PRIORITY, partial(lives.keep_causes, causes=()))
            self._causes = []
            for code in CODES:
                self._ground.alarms.clear(code)
        return home_object(self._ground)

    def suspect_clone(self, broker: str) -> None:
        """A broker threw us out again and again: somebody may use our client id. A hint, kept in memory only."""
        detail = (
            f"connections to {broker} ended again and again right after they began, and have another client id now: a "
            "clone of this home may be at work; if none is, run `relay home accept`"
        )
        self._ground.alarms.sound("CLONED", self._ground.clock.now_us(), detail)

    @property
    def _life(self) -> Life:
        return self._ground.identity.life

    def _judge(self, witness: VerifiedWitness) -> Finding:
        return self._life.judge(witness.moment, witness.signed_us, self._ground.store.commits)

    async def _part(self, finding: Finding, witness: VerifiedWitness, shown_by: str) -> None:
        ground, moment = self._ground, witness.moment
        epoch = Epoch(ground.entropy.bytes(EPOCH_BYTES))
        life = self._life.parted(epoch, moment, witness.signed_us, ground.clock.now_us())
        # What is settled from now on is marked, also before the new epoch is durable.
        self.doubt_us = life.doubt_us
        causes = self._with_cause("CLONED" if finding is Finding.CLONED else "RESTORED", witness, shown_by)
        await self._begin(partial(lives.part, life=life, causes=causes), moment)
        self._sound(causes)

    async def _see_again(self, witness: VerifiedWitness, shown_by: str) -> None:
        """A clone that we know of goes on: what it may have handed out since is marked too."""
        ground = self._ground
        life = replace(self._life, doubt_us=max(ground.clock.now_us(), witness.signed_us) + SEEN_AGAIN_US)
        causes = self._with_cause("CLONED", witness, shown_by)
        self.doubt_us = life.doubt_us
        await ground.commit(Lane.FLASH, partial(lives.doubt, life=life, causes=causes))
        ground.identity = replace(ground.identity, life=life)
        self._sound(causes)

    async def _begin(self, change: Callable[..., Life], moment: Moment) -> None:
        """Record a new start above a moment, and go on in it; meanwhile nothing is said beyond what was said before."""
        ground = self._ground
        ground.commits_told_max = ground.store.commits
        start = StartId(ground.entropy.bytes(START_BYTES))
        life = await ground.commit(Lane.FLASH, partial(change, start=start, above=moment.commits))
        ground.identity = replace(ground.identity, life=life)
        ground.commits_told_max = None
        self._renew()
        ground.kick()

    def _with_cause(self, code: str, witness: VerifiedWitness, shown_by: str) -> list[Cause]:
        """The causes with a new one, or with newer words for one that is known."""
        since_us = next((one.since_us for one in self._causes if one.code == code), self._ground.clock.now_us())
        told = f"{shown_by} showed what this office signed at {time_text(witness.signed_us)} and this home never did"
        if code == "RESTORED":
            cause = Cause("RESTORED", since_us, f"{told}: it goes on from an older state; {_RESTORED_HELP}")
        else:
            cause = Cause("CLONED", since_us, f"{told}: a copy of it is at work; {_CLONED_HELP}")
        return [*(one for one in self._causes if one.code != code), cause]

    def _sound(self, causes: list[Cause]) -> None:
        self._causes = causes
        for cause in causes:
            self._ground.alarms.sound(cause.code, cause.since_us, cause.detail)


def home_object(ground: Ground) -> dict[str, Any]:
    """The `home` of `status`."""
    life = ground.identity.life
    return {
        "epoch": life.epoch.hex(),
        "boots": ground.identity.boot,
        "commits": ground.store.commits,
        "restored_at": time_text(life.born_us) if life.apart else None,
    }


_RESTORED_HELP: Final = (
    "what it accepted, received or was told since is missing here, and what it hands out may be a repetition; compare "
    "with other offices, then run `relay home accept`"
)
_CLONED_HELP: Final = "stop one of the two and never start it again, then run `relay home accept`"
