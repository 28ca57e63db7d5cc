"""Receipts that left sealed are sent again until their readers have them (G16, SPEC M42). One bounded change at a time.

A clerk's word must not vanish with a custodian that swallowed it, and nobody else would ask for it.
"""

from dataclasses import dataclass
from typing import Final

from protocol.delivery import ask_again_us
from protocol.ids import Digest, OfficeId
from relay.receipting import answer_again
from relay.store import held, inbox
from relay.store.database import Txn
from relay.store.held import Held

BATCH: Final = 100
"""Most receipts sent again in one change."""
LONGEST_US: Final = 64 * inbox.UNHEARD_US
"""From then on they are sent again every hour or so, as kept copies are every 64 patiences."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Parcels that are to leave once more, who had custody of them before, and whether there may be more."""

    taken: list[Held]
    lost: list[tuple[Digest, OfficeId]]
    more: bool


def repeat(txn: Txn, me: OfficeId) -> Repeated:
    """Sealed receipts of which nothing was heard, round whoever took them and kept silent; until their life ends."""
    now_us = txn.now_us
    parcels: list[Held] = []
    lost: list[tuple[Digest, OfficeId]] = []
    unheard = inbox.unheard_receipts(txn, now_us, BATCH)
    for one in unheard:
        parcel = answer_again(one.left, one.type, me)
        if parcel.expires_us <= now_us:
            inbox.mark_unheard(txn, one, None)
            continue
        custodian = held.gone_to(txn, parcel.parcel.digest)
        if custodian is not None:
            lost.append((parcel.parcel.digest, custodian))
        parcels.append(parcel)
        again_us = ask_again_us(asked_us=one.at_us, now_us=now_us, grace_us=inbox.UNHEARD_US)
        inbox.mark_unheard(txn, one, min(again_us, now_us + LONGEST_US))
    return Repeated(held.hold(txn, parcels), lost, len(unheard) == BATCH)
