"""What neighbours are owed is bounded, and what is dropped is what they will ask for again (G13, SPEC M38)."""

import pytest

from protocol import debts as owed
from protocol.debts import Debts
from protocol.frame import Nack
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import FRAME_ITEMS

NEIGHBOUR = OfficeId(bytes(16))
FEW = 1_000


def digest(number: int) -> Digest:
    return Digest(number.to_bytes(32, "big"))


def test_g13_a_neighbour_that_cannot_be_answered_is_owed_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    assert owed.DEBTS_MAX <= 20_000
    monkeypatch.setattr(owed, "DEBTS_MAX", FEW)
    debts = Debts()
    for number in range(FEW + 3):
        debts.owe_custody(NEIGHBOUR, Lane.ROUTINE, digest(number))
        debts.owe_nack(NEIGHBOUR, Lane.ROUTINE, Nack(digest(number), "FULL"))
    custody: list[Digest] = []
    nacks: list[Digest] = []
    while debts.creditors("slow"):
        paid = debts.pay(NEIGHBOUR, "slow")
        assert len(paid.custody) <= FRAME_ITEMS
        custody += paid.custody
        nacks += [nack.digest for nack in paid.nacks]
    assert custody == nacks == [digest(number) for number in range(3, FEW + 3)]


def test_debts_that_fill_a_frame_exactly_leave_nothing_behind() -> None:
    debts = Debts()
    for number in range(FRAME_ITEMS):
        debts.owe_custody(NEIGHBOUR, Lane.ROUTINE, digest(number))
        debts.owe_nack(NEIGHBOUR, Lane.ROUTINE, Nack(digest(number), "FULL"))
    paid = debts.pay(NEIGHBOUR, "slow")
    assert (len(paid.custody), len(paid.nacks)) == (FRAME_ITEMS, FRAME_ITEMS)
    assert debts.creditors("slow") == []
