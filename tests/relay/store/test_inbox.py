"""The inbox: every question about messages and receipts is answered from all that came (G2, G7, G12, G14)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.copy import copy_digest
from protocol.errors import Refused
from protocol.ids import Digest, Epoch, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.life import Life
from relay.store import inbox, lives
from relay.store.database import Txn
from relay.store.inbox import DOUBTED, DRILL, GAP, REDELIVERED, Received, SealedReceipt
from relay.store.sealed_table import RowExists
from relay.store.tables import INBOX, RECEIPTS
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

SENDERS = (world.CITY, world.COUNTY)
IDS = tuple(MessageId(bytes((n,)) * 16) for n in range(1, 5))
STATES = ("new", "opened", "taken", "signed_for", "returned", "refused", "purged", "dead")
HIDDEN = ("refused", "purged", "dead")
BUNDLES = [world.make_bundle(record) for record in (b"one", b"two")]
FEW = settings(max_examples=settings().max_examples // 4)
KEYS = st.lists(st.tuples(st.sampled_from(SENDERS), st.sampled_from(IDS)), unique=True, min_size=1, max_size=8)
FIRST = Received(
    world.CITY, IDS[0], Lane.ROUTINE, "new", 50, GAP, Digest(b"d" * 32), BUNDLES[0], b"outer", world.NOW_US
)
COPY = Digest(b"c" * 32)
FORGET_US = 1 << 50


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@st.composite
def messages(draw: st.DrawFn) -> list[Received]:
    return [
        Received(
            sender=sender,
            message_id=message_id,
            lane=draw(st.sampled_from((Lane.FLASH, Lane.ROUTINE))),
            state=draw(st.sampled_from(STATES)),
            received_us=draw(st.integers(1, 5)),
            flags=draw(st.sampled_from((0, DRILL, GAP, GAP | DOUBTED))),
            digest=Digest(bytes((at,)) * 32),
            bundle=draw(st.sampled_from(BUNDLES)),
            outer=bytes((at,)),
            witnessed_us=draw(st.integers(1, 9)),
        )
        for at, (sender, message_id) in enumerate(draw(KEYS))
    ]


def put(txn: Txn, wanted: list[Received]) -> list[Received]:
    """Insert messages; they come back with their places."""
    for one in wanted:
        inbox.insert(txn, one, copy_digest(one.outer), FORGET_US)
    return [replace(one, seq=at) for at, one in enumerate(wanted, 1)]


def doubt_lives_until(txn: Txn, at_us: int) -> None:
    lives.doubt(txn, Life(Epoch(bytes(8)), doubt_us=at_us), [])


@FEW
@given(messages(), st.integers(1, 4), st.sampled_from(STATES))
def test_g02_what_is_shown_is_what_came(store: InlineStore, wanted: list[Received], limit: int, state: str) -> None:
    def change(txn: Txn) -> None:
        rows = put(txn, wanted)
        shown = [one for one in rows if one.state not in HIDDEN]
        assert inbox.listed(txn, None, 100) == shown
        assert inbox.listed(txn, None, limit) == shown[-limit:]
        assert inbox.listed(txn, state, 100) == [one for one in shown if one.state == state]
        assert inbox.counts(txn) == Counter(one.state for one in shown)
        for one in rows:
            known = None if one.state in ("refused", "dead") else one
            assert inbox.get(txn, one.sender, one.message_id) == known
            assert inbox.digests(txn, one.sender, one.message_id) == (one.digest, copy_digest(one.outer))
            assert inbox.of_copy(txn, copy_digest(one.outer)) == (one.sender, one.message_id)
            with pytest.raises(RowExists):
                inbox.insert(txn, one, COPY, FORGET_US)
        assert inbox.get(txn, world.PROVINCE, IDS[0]) is None
        assert inbox.digests(txn, world.PROVINCE, IDS[0]) is None
        assert inbox.of_copy(txn, COPY) is None
        assert inbox.find(txn, IDS[1], IDS[2]) == inbox.find(txn, IDS[1], IDS[2], purged=False)
        for purged in (False, True):
            hidden = ("refused", "dead") if purged else HIDDEN
            within = {
                (one.sender, one.message_id)
                for one in rows
                if one.state not in hidden and IDS[1] <= one.message_id <= IDS[2]
            }
            found = inbox.find(txn, IDS[1], IDS[2], purged=purged)
            assert set(found) <= within
            assert len(found) == min(3, len(within))
        for sender in (world.PROVINCE, bytes(16)):
            for message_id in IDS[1:3]:
                inbox.insert(txn, replace(FIRST, sender=OfficeId(sender), message_id=message_id), COPY, FORGET_US)
        assert len(inbox.find(txn, IDS[1], IDS[2])) == 3

    tried(store, change)


def paged(txn: Txn, sender: bytes, from_us: int, limit: int) -> list[Received]:
    """All that is found page by page, when a page looks at two rows and no more."""
    found: list[Received] = []
    after: bytes | None = b""
    with patch.object(inbox, "LOOKED_AT", 2):
        while after is not None:
            page, after = inbox.of_sender(txn, sender, from_us, after, limit)
            assert len(page) <= min(limit, 2)
            found += page
    return found


@FEW
@given(messages(), st.integers(0, 6), st.integers(1, 4))
def test_g14_what_a_revoked_office_sent_is_found_and_doubted_once(
    store: InlineStore, wanted: list[Received], from_us: int, limit: int
) -> None:
    def change(txn: Txn) -> None:
        rows = put(txn, wanted)
        for sender in SENDERS:
            theirs = sorted(
                (one for one in rows if one.sender == sender and one.state not in HIDDEN),
                key=lambda one: one.message_id,
            )
            late = [one for one in theirs if one.received_us >= from_us and not one.flags & DOUBTED]
            assert inbox.of_sender(txn, sender, from_us, b"", limit)[0] == late[:limit]
            assert paged(txn, sender, from_us, limit) == late
            assert inbox.of_sender(txn, sender, from_us, IDS[0], 100)[0] == [
                one for one in late if one.message_id > IDS[0]
            ]
        for one in rows:
            assert inbox.doubt(txn, one.sender, one.message_id) is not bool(one.flags & DOUBTED)
            assert not inbox.doubt(txn, one.sender, one.message_id)
            if one.state not in ("refused", "dead"):
                assert inbox.get(txn, one.sender, one.message_id) == replace(one, flags=one.flags | DOUBTED)
        assert not inbox.doubt(txn, world.PROVINCE, IDS[0])

    tried(store, change)


def test_g14_a_page_of_what_an_office_sent_says_whether_there_may_be_more(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        put(txn, [replace(FIRST, message_id=one) for one in IDS])
        for limit, after, looked_at, found, following in (
            (9, b"", 5, IDS, None), (9, b"", 4, IDS, IDS[3]), (2, b"", 5, IDS[:2], IDS[1]),
            (1, IDS[2], 2, IDS[3:], IDS[3]),
        ):  # fmt: skip
            with patch.object(inbox, "LOOKED_AT", looked_at):
                page, place = inbox.of_sender(txn, world.CITY, 50, after, limit)
            assert (tuple(one.message_id for one in page), place) == (found, following)

    tried(store, change)


@pytest.mark.parametrize(("doubt_us", "flag"), [(49, 0), (50, REDELIVERED)])
def test_g12_what_another_life_may_have_handed_out_says_so_until_it_is_acknowledged(
    store: InlineStore, doubt_us: int, flag: int
) -> None:
    def change(txn: Txn) -> None:
        doubt_lives_until(txn, doubt_us)
        (row,) = put(txn, [FIRST])
        assert inbox.get(txn, world.CITY, IDS[0]) == replace(row, flags=GAP | flag)
        assert inbox.listed(txn, None, 1) == [replace(row, flags=GAP | flag)]
        assert inbox.take(txn, 1, 0) == [replace(row, state="taken", flags=GAP | flag)]
        assert inbox.acknowledge(txn, world.CITY, IDS[0]) == "acked"
        doubt_lives_until(txn, 1_000)
        assert inbox.listed(txn, None, 1) == [replace(row, state="taken", flags=GAP | flag)]

    tried(store, change)


def test_g02_what_was_handed_out_comes_again_after_a_while_and_at_once_after_a_restart(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        urgent, other = replace(FIRST, message_id=IDS[1], lane=Lane.FLASH), replace(FIRST, message_id=IDS[2])
        put(txn, [FIRST, urgent, other])
        assert inbox.change_state(txn, world.CITY, IDS[2], "opened", ("new",))
        assert [one.message_id for one in inbox.listed(txn, "opened", 9)] == [IDS[2]]
        taken = inbox.take(txn, 2, 0)
        assert [(one.message_id, one.flags) for one in taken] == [(IDS[1], GAP), (IDS[0], GAP)]
        assert inbox.acknowledge(txn, world.CITY, IDS[2]) == "untaken"
        (opened,) = inbox.take(txn, 9, txn.now_us - 1)
        assert (opened.message_id, opened.state, opened.flags) == (IDS[2], "taken", GAP)
        assert inbox.take(txn, 9, txn.now_us - 1) == []
        again = inbox.take(txn, 2, txn.now_us)
        assert [(one.message_id, one.flags) for one in again] == [
            (IDS[1], GAP | REDELIVERED),
            (IDS[0], GAP | REDELIVERED),
        ]
        assert inbox.take(txn, 9, 0) == []
        inbox.insert(txn, replace(FIRST, message_id=IDS[3], flags=0), COPY, FORGET_US)
        assert inbox.acknowledge(txn, world.CITY, IDS[2]) == "acked"
        # What is new comes first, and is new to its reader; then as many as there is room for.
        some = inbox.take(txn, 2, 0, 1)
        assert [(one.message_id, one.flags) for one in some] == [(IDS[3], 0), (IDS[1], GAP | REDELIVERED)]
        assert [one.message_id for one in inbox.take(txn, 9, 0, 1)] == [IDS[0]]

    tried(store, change)


@pytest.mark.parametrize(("room", "count"), [(0, 1), (1, 2), (2, 2)])
def test_g02_g13_what_comes_again_has_the_room_that_is_left(store: InlineStore, room: int, count: int) -> None:
    def change(txn: Txn) -> None:
        put(txn, [replace(FIRST, message_id=one) for one in IDS[:2]])
        assert len(inbox.take(txn, 2, 0)) == 2
        inbox.insert(txn, replace(FIRST, message_id=IDS[2]), COPY, FORGET_US)
        (new,) = INBOX.select(txn, "handed_us IS NULL")
        found = inbox.take(txn, 9, txn.now_us, max_bytes=len(new.body) + room)
        assert [one.message_id for one in found] == [IDS[2], IDS[0]][:count]

    tried(store, change)


@pytest.mark.parametrize("reverse", ["ON", "OFF"])
def test_the_newest_are_listed_in_whatever_order_rows_come(reverse: str) -> None:
    with office_store() as store:
        rows = store.run(lambda txn: put(txn, [replace(FIRST, message_id=one) for one in IDS]))
        store.database.connection.execute(f"PRAGMA reverse_unordered_selects = {reverse}").fetchall()
        assert store.run(lambda txn: inbox.listed(txn, None, 2)) == rows[-2:]


def test_g02_what_is_acknowledged_or_decided_is_done_and_handed_out_no_more(store: InlineStore) -> None:
    def done_us(txn: Txn, message_id: MessageId) -> object:
        row = INBOX.get(txn, world.CITY, message_id)
        assert row is not None
        return row["done_us"], row["acked"], row["state"]

    def change(txn: Txn) -> None:
        put(txn, [FIRST, *(replace(FIRST, message_id=one) for one in IDS[1:3])])
        assert inbox.acknowledge(txn, world.CITY, IDS[0]) == "untaken"
        inbox.take(txn, 1, 0)
        assert inbox.acknowledge(txn, world.CITY, IDS[0]) == "acked"
        assert inbox.acknowledge(txn, world.CITY, IDS[0]) == "known"
        assert done_us(txn, IDS[0]) == (txn.now_us, 1, "taken")
        for message_id, state in ((IDS[1], "signed_for"), (IDS[2], "returned")):
            assert not inbox.change_state(txn, world.CITY, message_id, state, ("opened", "taken"))
            assert done_us(txn, message_id) == (None, 0, "new")
            assert inbox.change_state(txn, world.CITY, message_id, state, ("opened", "new"))
            assert done_us(txn, message_id) == (txn.now_us, 1, state)
        assert not inbox.change_state(txn, world.CITY, IDS[3], "opened", ("new",))
        assert inbox.take(txn, 9, txn.now_us) == []
        with pytest.raises(Refused) as refused:
            inbox.acknowledge(txn, world.CITY, IDS[3])
        assert refused.value.code == "NOT_FOUND"

    tried(store, change)


def test_g08_what_is_dead_before_it_came_is_remembered_and_never_shown(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        put(txn, [FIRST])
        inbox.bury(txn, world.CITY, IDS[1], Lane.FLASH, COPY, FORGET_US)
        row = INBOX.get(txn, world.CITY, IDS[1])
        assert row is not None
        assert row.body == b""
        assert dict(row.clear) == {
            "sender": world.CITY, "message_id": IDS[1], "seq": 2, "state": "dead", "lane": Lane.FLASH,
            "received_us": txn.now_us, "witnessed_us": txn.now_us, "handed_us": None, "handed_start": None, "acked": 1,
            "done_us": None, "flags": 0, "digest": COPY, "copy_digest": b"", "size": 0, "forget_us": FORGET_US,
        }  # fmt: skip
        assert inbox.digests(txn, world.CITY, IDS[1]) == (COPY, b"")
        with pytest.raises(RowExists):
            inbox.bury(txn, world.CITY, IDS[0], Lane.FLASH, COPY, FORGET_US)

    tried(store, change)


@pytest.mark.parametrize(("state", "acked"), [("new", 0), ("refused", 1)])
def test_g07_of_a_refused_message_only_the_memory_is_kept(store: InlineStore, state: str, acked: int) -> None:
    def change(txn: Txn) -> None:
        put(txn, [replace(FIRST, state=state)])
        row = INBOX.get(txn, world.CITY, IDS[0])
        assert row is not None
        assert (row["acked"], row["done_us"], row["handed_us"], row["forget_us"]) == (acked, None, None, FORGET_US)
        assert (row.body == b"") is (state == "refused")

    tried(store, change)


def test_g07_receipts_are_kept_as_they_left_and_as_they_were_signed(store: InlineStore) -> None:
    kept = [("delivered", 20, b"2", b"2"), ("returned", 10, b"sealed 1", b"1"), ("opened", 30, b"sealed 3", b"3")]

    def change(txn: Txn) -> None:
        for type_, at_us, sent, plain in kept:
            inbox.keep_receipt(txn, world.CITY, IDS[0], type_, at_us, sent, plain)
            assert inbox.receipt(txn, world.CITY, IDS[0], type_) == sent
            assert inbox.plain_receipt(txn, world.CITY, IDS[0], type_) == plain
        inbox.keep_receipt(txn, world.CITY, IDS[1], "delivered", 15, b"4", b"4")
        inbox.keep_receipt(txn, world.COUNTY, IDS[0], "delivered", 16, b"5", b"5")
        assert inbox.plain_receipts(txn, world.CITY, IDS[0]) == [b"1", b"2", b"3"]
        assert inbox.receipt(txn, world.CITY, IDS[1], "opened") is None
        assert inbox.plain_receipt(txn, world.CITY, IDS[1], "opened") is None
        # In the clear it is kept once.
        row = RECEIPTS.get(txn, world.CITY, IDS[0], "delivered")
        assert row is not None
        assert row.body.count(b"2") == 1

    tried(store, change)


def test_g16_sealed_receipts_are_due_again_until_they_are_heard(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        for at, type_ in enumerate(("opened", "signed_for", "returned", "refused", "delivered", "tombstone")):
            inbox.keep_receipt(txn, world.CITY, IDS[0], type_, at, type_.encode(), b"plain")
        assert inbox.unheard_receipts(txn, inbox.UNHEARD_US - 1, 9) == []
        assert [one.type for one in inbox.unheard_receipts(txn, inbox.UNHEARD_US, 9)] == ["opened"]
        due = inbox.unheard_receipts(txn, inbox.UNHEARD_US + 9, 3)
        assert [(one.type, one.at_us, one.left) for one in due] == [
            ("opened", 0, b"opened"), ("signed_for", 1, b"signed_for"), ("returned", 2, b"returned"),
        ]  # fmt: skip
        inbox.mark_unheard(txn, due[0], 3 * inbox.UNHEARD_US)
        inbox.mark_unheard(txn, due[1], None)
        inbox.mark_unheard(txn, replace(due[2], message_id=IDS[1]), None)
        left = inbox.unheard_receipts(txn, 3 * inbox.UNHEARD_US, 9)
        assert [one.type for one in left] == ["returned", "refused", "opened"]
        # What was heard stays heard.
        inbox.mark_unheard(txn, due[1], 1)
        assert len(inbox.unheard_receipts(txn, 3 * inbox.UNHEARD_US, 9)) == 3

    tried(store, change)


def test_g07_a_receipt_that_could_not_be_opened_is_found_and_leaves_as_another_copy(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        for at, type_ in enumerate(("opened", "signed_for", "returned", "refused", "delivered")):
            inbox.keep_receipt(txn, world.CITY, IDS[0], type_, at, type_.encode(), b"plain")
            found = inbox.find_sealed_receipt(txn, world.CITY, copy_digest(type_.encode()))
            wanted = SealedReceipt(world.CITY, IDS[0], type_, at, type_.encode(), b"plain")
            assert found == (None if type_ == "delivered" else wanted)
            assert inbox.find_sealed_receipt(txn, world.COUNTY, copy_digest(type_.encode())) is None
        old = SealedReceipt(world.CITY, IDS[0], "opened", 0, b"opened", b"plain")
        assert inbox.replace_receipt(txn, old, b"again")
        assert inbox.find_sealed_receipt(txn, world.CITY, copy_digest(b"opened")) is None
        assert inbox.find_sealed_receipt(txn, world.CITY, copy_digest(b"again")) == replace(old, left=b"again")
        assert inbox.receipt(txn, world.CITY, IDS[0], "opened") == b"again"
        assert inbox.plain_receipt(txn, world.CITY, IDS[0], "opened") == b"plain"
        assert not inbox.replace_receipt(txn, old, b"once more")
        assert not inbox.replace_receipt(txn, replace(old, message_id=IDS[1]), b"once more")
        assert inbox.receipt(txn, world.CITY, IDS[0], "opened") == b"again"

    tried(store, change)
