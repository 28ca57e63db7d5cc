"""A message whose row is damaged: our own receipts say that it was here, and what became of it (G2, G7)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from keys.signing import RECEIPT, sign_record
from protocol.cbor import dumps
from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US
from protocol.receipt import encode_receipt
from relay.store import inbox, lost
from relay.store.database import Txn
from relay.store.inbox import GAP, REDELIVERED, Received
from relay.store.lost import Lost
from relay.store.tables import INBOX, RECEIPTS
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

DIGEST = Digest(b"d" * 32)
IDS = tuple(MessageId(bytes((n,)) * 16) for n in range(1, 5))
COPY = Digest(b"c" * 32)
FORGET_US = 1 << 50
MESSAGE = Received(world.COUNTY, IDS[0], Lane.FLASH, "new", 5, GAP, DIGEST, world.make_bundle(b"record"), b"outer", 5)
LOST = Lost(world.COUNTY, IDS[0], DIGEST, Lane.FLASH, world.NOW_US, "new", handed=False)


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def keep_receipt(
    txn: Txn, type_: str, message_id: MessageId = IDS[0], at_us: int | None = None, **changes: object
) -> None:
    told = {"expires_us": world.NOW_US + RECEIPT_EXTRA_LIFE_US, "digest": DIGEST, "id": message_id, **changes}
    made = world.make_tombstone(**told) if type_ == "tombstone" else world.make_receipt(**told)
    record = sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(made))
    inbox.keep_receipt(txn, world.COUNTY, message_id, type_, txn.now_us if at_us is None else at_us, b"sealed", record)


def set_aside(txn: Txn, columns: bytes, *, mended: bool = False) -> None:
    key = f"{world.COUNTY.hex()}/{IDS[0].hex()}"
    txn.connection.execute(
        "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES ('inbox', ?, 1, ?, ?)",
        (key, int(mended), columns),
    )


def row(**columns: object) -> bytes:
    """What is left of a row: a new one that nobody has had, with changes."""
    left = {"state": b"new", "handed_us": None, "acked": 0, **columns}
    return dumps([list(left), list(left.values())])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("types", "state"),
    [
        (["delivered"], "new"),
        (["delivered", "opened"], "opened"),
        (["delivered", "opened", "signed_for"], "signed_for"),
        (["delivered", "returned"], "returned"),
        (["refused"], "refused"),
        (["tombstone"], "dead"),
    ],
)
def test_g07_receipts_say_what_became_of_a_message_without_a_row(
    store: InlineStore, types: list[str], state: str
) -> None:
    def change(txn: Txn) -> None:
        assert lost.of(txn, world.COUNTY, IDS[0]) is None
        for type_ in types:
            keep_receipt(txn, type_)
        assert lost.of(txn, world.COUNTY, IDS[0]) == replace(LOST, state=state, handed=True)
        assert lost.of(txn, world.COUNTY, IDS[1]) is None

    tried(store, change)


@pytest.mark.parametrize(
    ("columns", "handed"),
    [
        (row(), False),
        (row(state=b"opened"), False),
        (row(state=b"taken"), True),
        (row(handed_us=0), True),
        (row(acked=1), True),
        (dumps([["state"], [b"new"]]), True),
        (dumps([["state", "handed_us", "acked"], [b"new", None, 0, 1]]), True),
        (dumps([[[1]], [1]]), True),
        (b"\xff", True),
    ],
)
def test_g02_a_message_is_new_again_only_when_what_is_left_says_that_nobody_had_it(
    store: InlineStore, columns: bytes, handed: bool
) -> None:
    def change(txn: Txn) -> None:
        keep_receipt(txn, "delivered")
        # What was there before, or was mended, says nothing about the row that is lost now.
        set_aside(txn, row(acked=int(not handed)))
        set_aside(txn, columns)
        set_aside(txn, row(acked=int(not handed)), mended=True)
        found = lost.of(txn, world.COUNTY, IDS[0])
        assert found is not None
        assert found.handed is handed

    tried(store, change)


def test_g01_what_was_delivered_and_has_no_row_is_asked_for_while_it_lives(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        # One is here, one was only refused, and the life of one is over. The limit is for those that live.
        inbox.insert(txn, MESSAGE, COPY, FORGET_US)
        over_us = txn.now_us + RECEIPT_EXTRA_LIFE_US
        keep_receipt(txn, "delivered", MessageId(bytes(16)), expires_us=over_us)
        keep_receipt(txn, "delivered", expires_us=over_us + 1)
        keep_receipt(txn, "refused", IDS[1], expires_us=over_us + 1)
        keep_receipt(txn, "delivered", IDS[2], expires_us=over_us)
        assert lost.delivered(txn, 10) == []
        keep_receipt(txn, "delivered", IDS[3], expires_us=over_us + 1)
        assert [one.message_id for one in lost.delivered(txn, 1)] == [IDS[3]]
        INBOX.delete(txn, world.COUNTY, IDS[0])
        assert {one.message_id for one in lost.delivered(txn, 10)} == {IDS[0], IDS[3]}
        assert len(lost.delivered(txn, 1)) == 1

    tried(store, change)


@pytest.mark.parametrize(("ago_us", "found"), [(MAX_LIFE_US, []), (MAX_LIFE_US - 1, [IDS[0]])])
def test_g01_what_may_live_in_its_last_moment_is_asked_for(
    store: InlineStore, ago_us: int, found: list[MessageId]
) -> None:
    def change(txn: Txn) -> None:
        expires_us = txn.now_us + RECEIPT_EXTRA_LIFE_US + 1
        keep_receipt(txn, "delivered", at_us=txn.now_us - ago_us, expires_us=expires_us)
        assert [one.message_id for one in lost.delivered(txn, 10)] == found

    tried(store, change)


def test_g07_what_cannot_be_sent_again_is_named_the_newest_first_however_much_can_be(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        over_us, ids = txn.now_us + RECEIPT_EXTRA_LIFE_US, [MessageId(bytes((n,)) * 16) for n in range(9)]
        for n in range(9):
            lives = n % 3 == 2
            keep_receipt(txn, "delivered", ids[n], txn.now_us + n % 5, expires_us=over_us + lives)
        inbox.insert(txn, replace(MESSAGE, message_id=ids[3]), COPY, FORGET_US)
        # The same id from somebody else is another message.
        inbox.insert(txn, replace(MESSAGE, sender=world.CITY, message_id=ids[4]), COPY, FORGET_US)
        keep_receipt(txn, "refused", MessageId(b"r" * 16), expires_us=over_us)
        assert [ids.index(one.message_id) for one in lost.gone(txn, 10)] == [4, 7, 1, 6, 0]
        assert [ids.index(one.message_id) for one in lost.gone(txn, 3)] == [4, 7, 1]

    tried(store, change)


def test_g13_what_is_left_of_a_message_is_over_when_nothing_was_said_of_it_for_so_long(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        before_us = txn.now_us
        for message_id, type_, late_us in (
            (IDS[0], "delivered", 0), (IDS[0], "opened", 0), (IDS[1], "delivered", 0), (IDS[1], "signed_for", 1),
            (IDS[2], "refused", -1), (IDS[3], "delivered", 0),
        ):  # fmt: skip
            keep_receipt(txn, type_, message_id, before_us + late_us)
        inbox.insert(txn, replace(MESSAGE, message_id=IDS[3]), COPY, FORGET_US)
        assert lost.over(txn, before_us, 10) == [(world.COUNTY, IDS[0]), (world.COUNTY, IDS[2])]
        assert lost.over(txn, before_us, 1) == [(world.COUNTY, IDS[0])]
        INBOX.delete(txn, world.COUNTY, IDS[3])
        assert lost.over(txn, before_us + 1, 10) == [(world.COUNTY, one) for one in IDS]

    tried(store, change)


def test_g02_a_flipped_bit_that_calls_a_receipt_old_does_not_end_it(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        before_us = txn.now_us - 1
        for message_id in IDS[:2]:
            keep_receipt(txn, "delivered", message_id, before_us)
        keep_receipt(txn, "opened", IDS[1])
        txn.connection.execute("UPDATE receipts SET at_us = at_us & ~(1 << 40) WHERE type = 'opened'")
        found = lost.over(txn, before_us, 10)
        assert found == [(world.COUNTY, IDS[0]), (world.COUNTY, IDS[1])]
        for sender, message_id in found:
            lost.forget(txn, sender, message_id, before_us)
        kept = [(row["message_id"], row["type"]) for row in RECEIPTS.select(txn, order="type")]
        assert kept == [(IDS[1], "delivered"), (IDS[1], "opened")]

    assert store.run(lambda txn: txn.now_us) & 1 << 40
    tried(store, change)


@pytest.mark.parametrize(
    ("state", "handed", "shown"),
    [
        ("new", False, ("new", GAP, None, 0, False)),
        ("new", True, ("taken", GAP | REDELIVERED, 0, 0, False)),
        ("opened", False, ("opened", GAP, None, 0, False)),
        ("opened", True, ("taken", GAP | REDELIVERED, 0, 0, False)),
        ("signed_for", True, ("signed_for", GAP | REDELIVERED, None, 1, True)),
        ("returned", False, ("returned", GAP, None, 1, True)),
        ("refused", True, ("refused", GAP | REDELIVERED, None, 1, False)),
    ],
)
def test_g02_what_comes_back_stands_where_it_stood(
    store: InlineStore, state: str, handed: bool, shown: tuple[object, ...]
) -> None:
    def change(txn: Txn) -> None:
        lost.put_back(txn, replace(LOST, state=state, handed=handed), MESSAGE, COPY, FORGET_US)
        kept = INBOX.get(txn, world.COUNTY, IDS[0])
        assert kept is not None
        stands = (kept["state"], kept["flags"], kept["handed_us"], kept["acked"], kept["done_us"] == txn.now_us)
        assert stands == shown
        assert (kept["copy_digest"], kept["forget_us"]) == (COPY, FORGET_US)

    tried(store, change)
