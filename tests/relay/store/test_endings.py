"""Which recipients are asked what became of a message, in which order, and how many at once (G8, G9)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from protocol.ids import MessageId, OfficeId
from relay.store import endings, sent
from relay.store.database import Txn
from relay.store.sent import AWAITING_PREKEY, ON_ITS_WAY, TO_SEAL, Standing
from relay.store.tables import RECIPIENTS
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import LATER, PREPARED, office_store

IDS = [MessageId(bytes([number]) * 16) for number in (1, 2, 3)]


@pytest.fixture
def store() -> Iterator[InlineStore]:
    """Three messages to one office whose time is over at 300, 100 and 200."""
    with office_store() as opened:
        messages = [
            replace(PREPARED, message_id=name, expires_us=at) for name, at in zip(IDS, (300, 100, 200), strict=True)
        ]
        opened.run(lambda txn: sent.accept(txn, messages, LATER))
        yield opened


def names(found: list[Standing]) -> list[int]:
    """The numbers of messages."""
    return [one.message_id[0] for one in found]


def standing(txn: Txn, number: int) -> Standing:
    return sent.standing(txn, IDS[number - 1], world.PROVINCE)


def test_g09_whose_time_is_over_is_asked_first_expired_first(store: InlineStore) -> None:
    def asked(now_us: int, limit: int = 10) -> list[int]:
        return names(store.run(lambda txn: endings.unasked(txn, now_us, limit)))

    assert [asked(now_us) for now_us in (99, 100, 199, 300)] == [[], [2], [2], [2, 3, 1]]
    assert asked(300, limit=2) == [2, 3]
    store.run(lambda txn: endings.mark_asked(txn, standing(txn, 3), 210, 250))
    assert asked(300) == [2, 1]


def test_g08_who_was_asked_and_said_nothing_is_found_when_the_time_of_grace_is_over(store: InlineStore) -> None:
    def silent(before_us: int, limit: int = 10) -> list[int]:
        return names(store.run(lambda txn: endings.unanswered(txn, before_us, limit)))

    for number, asked_us in ((1, 310), (2, 320), (3, 305)):
        store.run(lambda txn, n=number, at=asked_us: endings.mark_asked(txn, standing(txn, n), at, at + 60))
    assert [silent(before_us) for before_us in (304, 305, 319, 320)] == [[], [3], [3, 1], [3, 1, 2]]
    assert silent(1_000, limit=1) == [3]
    # Asked before its time was over, as by `cancel`: only the end of its time counts.
    store.run(lambda txn: endings.mark_asked(txn, standing(txn, 1), 5, 60))
    assert silent(299) == []
    assert silent(300) == [1]


def test_g08_a_tombstone_is_sent_again_when_due_and_not_after_an_answer(store: InlineStore) -> None:
    def due(now_us: int, limit: int = 10) -> list[int]:
        return names(store.run(lambda txn: endings.to_ask_again(txn, now_us, limit)))

    assert due(10_000) == []
    for number, again_us in ((1, 700), (2, 500), (3, 600)):
        store.run(lambda txn, n=number, at=again_us: endings.mark_asked(txn, standing(txn, n), 400, at))
    assert [due(now_us) for now_us in (499, 500, 699, 700)] == [[], [2], [2, 3], [2, 3, 1]]
    assert due(700, limit=2) == [2, 3]
    store.run(lambda txn: endings.mark_answered(txn, IDS[1], world.PROVINCE))
    assert due(700) == [3, 1]
    for stranger in (OfficeId(bytes(16)), world.PROVINCE):
        # Of whom nothing is asked nothing changes.
        store.run(lambda txn, office=stranger: endings.mark_answered(txn, IDS[1], office))
    assert due(700) == [3, 1]


@pytest.mark.parametrize(("stage", "after"), [(AWAITING_PREKEY, ON_ITS_WAY), (TO_SEAL, ON_ITS_WAY), (2, 2)])
def test_g08_who_is_asked_is_sealed_to_no_more(store: InlineStore, stage: int, after: int) -> None:
    def set_stage(txn: Txn) -> None:
        row = RECIPIENTS.get(txn, IDS[0], world.PROVINCE)
        assert row is not None
        RECIPIENTS.update(txn, row, stage=stage)

    store.run(set_stage)
    store.run(lambda txn: endings.mark_asked(txn, standing(txn, 1), 7, 8))
    row = store.run(lambda txn: RECIPIENTS.get(txn, IDS[0], world.PROVINCE))
    assert row is not None
    assert (row["stage"], row["asked_us"], row["again_us"]) == (after, 7, 8)
    other = replace(store.run(lambda txn: standing(txn, 1)), office=OfficeId(bytes(16)))
    store.run(lambda txn: endings.mark_asked(txn, other, 1, 1))
