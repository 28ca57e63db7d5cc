"""Custody entries, nacks and witness records that neighbours are owed.

They are not durable: after a restart the neighbour sends its parcel again and is answered again, and what it says of
its home is compared with what is remembered again.
"""

from typing import Final, NamedTuple

from protocol.frame import ENTRY_BYTES, Nack
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import FRAME_ITEMS


class Owed(NamedTuple):
    """What one frame pays."""

    custody: tuple[Digest, ...] = ()
    nacks: tuple[Nack, ...] = ()
    witness: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes that this takes in a frame, rounded up."""
        return ENTRY_BYTES * (len(self.custody) + len(self.nacks)) + len(self.witness or b"")


DEBTS_MAX: Final = 20_000
"""Most custody entries, and nacks, owed to one neighbour on one connection group: ten windows. Beyond, the oldest are
dropped: a debt need not survive (SPEC M38), for who hears nothing sends again."""


class Debts:
    """What is owed to each neighbour, by connection group."""

    __slots__ = ("_custody", "_nacks", "_witness")

    def __init__(self) -> None:
        self._witness: dict[tuple[OfficeId, str], tuple[Lane, bytes]] = {}
        self._custody: dict[tuple[OfficeId, str], dict[Digest, Lane]] = {}
        self._nacks: dict[tuple[OfficeId, str], dict[Digest, tuple[Lane, Nack]]] = {}

    def owe_custody(self, to: OfficeId, lane: Lane, digest: Digest) -> None:
        """An item of this lane is durable here: the neighbour is to hear it with the next frame."""
        owed = self._custody.setdefault((to, lane.group), {})
        owed[digest] = lane
        if len(owed) > DEBTS_MAX:
            del owed[next(iter(owed))]

    def owe_nack(self, to: OfficeId, lane: Lane, nack: Nack) -> None:
        """An item of this lane was not taken."""
        owed = self._nacks.setdefault((to, lane.group), {})
        owed[nack.digest] = (lane, nack)
        if len(owed) > DEBTS_MAX:
            del owed[next(iter(owed))]

    def owe_witness(self, to: OfficeId, lane: Lane, record: bytes) -> None:
        """The neighbour is to see a record of its own; a later one takes its place."""
        self._witness[to, lane.group] = (lane, record)

    def creditors(self, group: str) -> list[tuple[OfficeId, Lane]]:
        """Who is owed something on a connection group, and on which lane it is most urgent."""
        found: dict[OfficeId, Lane] = {}
        for (to, of_group), owed in self._custody.items():
            if of_group == group:
                found[to] = min(owed.values())
        for (to, of_group), nacks in self._nacks.items():
            if of_group == group:
                lane = min(lane for lane, _ in nacks.values())
                found[to] = min(lane, found.get(to, lane))
        for (to, of_group), (lane, _) in self._witness.items():
            if of_group == group:
                found[to] = min(lane, found.get(to, lane))
        return list(found.items())

    def pay(self, to: OfficeId, group: str) -> Owed:
        """Take what is owed on a connection group, as much as one frame may carry."""
        custody = self._custody.pop((to, group), {})
        nacks = self._nacks.pop((to, group), {})
        paid, rest = list(custody.items()), list(nacks.values())
        if len(paid) > FRAME_ITEMS:
            self._custody[to, group] = dict(paid[FRAME_ITEMS:])
        if len(rest) > FRAME_ITEMS:
            self._nacks[to, group] = {nack.digest: (lane, nack) for lane, nack in rest[FRAME_ITEMS:]}
        _, witness = self._witness.pop((to, group), (None, None))
        return Owed(
            tuple(digest for digest, _ in paid[:FRAME_ITEMS]), tuple(nack for _, nack in rest[:FRAME_ITEMS]), witness
        )
