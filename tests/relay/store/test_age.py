"""Nothing is purged that has not proved its age, and the oldest goes first, a bounded size at a time (G1, G2, G13)."""

from functools import partial
from typing import Any

import pytest

from protocol.delivery import State
from protocol.frame import COPY_ITEM
from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import MAX_LIFE_US
from protocol.parcel import Parcel
from relay.store import events, held, inbox, retention, sent
from relay.store.damage import read_damage
from relay.store.database import Txn
from relay.store.held import Held
from relay.store.retention import FORGET_AFTER_US, Keeping, purge
from tests import world
from tests.relay.office_store import LATER, office_store
from tests.relay.store.test_retention import DAY_US, TABLES, prepared, receive, received

AT_ONCE = Keeping(inbox_us=0, sent_us=0, evidence_us=0)


def test_g13_what_is_opened_to_be_purged_is_bounded_by_its_size_and_the_oldest_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (retention, held):
        monkeypatch.setattr(module, "PIECE_BYTES", 1)
    with office_store() as store:
        clock: Any = store._clock

        def fill(txn: Txn, n: int) -> None:
            one = MessageId(bytes((n,)) * 16)
            sent.accept(txn, [prepared(one, txn.now_us, txn.now_us + DAY_US)], LATER)
            receive(txn, received(one, txn.now_us), txn.now_us + DAY_US)
            inbox.change_state(txn, world.CITY, one, "signed_for", ("new",))
            sent.set_state(txn, one, world.CITY, State.DELIVERED)
            events.keep_proof(txn, one * 2, txn.now_us, b"proof")
            parcel = Parcel(Digest(one * 2), COPY_ITEM, Lane.FLASH, world.CITY, world.COUNTY, 4, (), False, one)
            held.hold(txn, [Held(parcel, txn.now_us + DAY_US, b"copy")])

        def turn(txn: Txn) -> tuple[bool, list[set[Any]], int]:
            more = purge(txn, AT_ONCE)
            left = []
            for name, where in (("inbox", "state <> 'purged'"), ("sent", "bare = 0"), ("proofs", "1")):
                key = TABLES[name].key[-1]
                left.append({row[key][0] for row in TABLES[name].unverified_clear(txn, where)})  # type: ignore[index]
            return more, left, len(held.expired(txn, txn.now_us, 10))

        for n in (1, 2, 3):
            store.run(partial(fill, n=n))
            clock.time.us += 1
        clock.time.us += MAX_LIFE_US + FORGET_AFTER_US
        turns = [store.run(turn) for _ in range(4)]
        assert turns == [(True, [{2, 3}] * 3, 1), (True, [{3}] * 3, 1), (True, [set()] * 3, 1), (False, [set()] * 3, 1)]


def test_g01_g02_a_flipped_bit_makes_nothing_old() -> None:
    """What is purged has proved its age: the highest bit of a time, and everything would be long over."""
    columns = {"inbox": "forget_us", "sent": "expires_us", "proofs": "at_us"}
    columns |= {"held": "expires_us", "passed": "forget_us"}
    with office_store() as store:
        clock: Any = store._clock
        ours, theirs = MessageId(b"o" * 16), MessageId(b"t" * 16)
        digests = [Digest(bytes((n,)) * 32) for n in (1, 2)]

        def fill(txn: Txn) -> None:
            receive(txn, received(theirs, txn.now_us, "refused"), txn.now_us + DAY_US)
            sent.accept(txn, [prepared(ours, txn.now_us, txn.now_us + DAY_US)], LATER)
            sent.set_state(txn, ours, world.CITY, State.DELIVERED)
            events.keep_proof(txn, digests[0], txn.now_us, b"proof")
            for digest in digests:
                parcel = Parcel(digest, COPY_ITEM, Lane.FLASH, world.CITY, world.COUNTY, 4, (), False, theirs)
                held.hold(txn, [Held(parcel, txn.now_us + 9 * DAY_US, b"copy")])
            held.pass_on(txn, digests[0], world.CITY, digests[0], DAY_US)

        def rot(txn: Txn) -> None:
            for table, column in columns.items():
                ((time_us,),) = txn.connection.execute(f"SELECT {column} FROM {table}")  # noqa: S608
                flipped = time_us ^ 1 << time_us.bit_length() - 1
                txn.connection.execute(f"UPDATE {table} SET {column} = ?", (flipped,))  # noqa: S608

        def look(txn: Txn) -> Any:
            purge(txn, AT_ONCE)
            assert (held.expired(txn, txn.now_us, 10), held.forget_passed(txn, txn.now_us, 10)) == ([], 0)
            return [TABLES[name].unverified_count(txn) for name in columns]

        store.run(fill)
        clock.time.us += 2 * DAY_US
        assert store.run(look) == [1] * 5
        store.run(rot)
        assert store.run(look) == store.run(look) == [1] * 5
        assert store.run(partial(read_damage, since_us=0)).mended == 5


def test_g02_what_came_is_forgotten_at_its_time_also_behind_one_whose_time_is_wrong() -> None:
    with office_store() as store:
        clock: Any = store._clock
        young, old = MessageId(b"y" * 16), MessageId(b"o" * 16)
        for message_id, days in ((young, 2), (old, 1)):
            message = received(message_id, clock.now_us(), "refused")
            store.run(partial(receive, message=message, expires_us=clock.now_us() + days * DAY_US))
        rot = "UPDATE inbox SET forget_us = forget_us & ~(1 << 50) WHERE message_id = ?"
        store.run(lambda txn: txn.connection.execute(rot, (young,)))
        left = []
        clock.time.us += DAY_US + FORGET_AFTER_US - 1
        for _ in range(2):
            store.run(partial(purge, keeping=AT_ONCE))
            left.append({row["message_id"] for row in store.run(TABLES["inbox"].select)})
            store.run(lambda txn: txn.connection.execute(rot, (young,)))
            clock.time.us += 1
        assert left == [{young, old}, {young}]


def test_g13_what_lost_its_words_has_the_size_of_what_is_left() -> None:
    with office_store() as store:
        clock: Any = store._clock

        def fill(txn: Txn) -> None:
            sent.accept(txn, [prepared(world.MESSAGE, txn.now_us, txn.now_us + DAY_US)], LATER)
            sent.set_state(txn, world.MESSAGE, world.CITY, State.DELIVERED)
            receive(txn, received(world.MESSAGE, txn.now_us), txn.now_us + DAY_US)
            inbox.change_state(txn, world.CITY, world.MESSAGE, "signed_for", ("new",))

        def sizes(txn: Txn) -> list[Any]:
            rows = [row for name in ("inbox", "sent") for row in TABLES[name].select(txn)]
            assert [row["size"] for row in rows] == [len(row.body) for row in rows]
            return [row["size"] for row in rows]

        store.run(fill)
        before = store.run(sizes)
        clock.time.us += 2 * DAY_US
        store.run(partial(purge, keeping=AT_ONCE))
        assert all(after < whole for after, whole in zip(store.run(sizes), before, strict=True))
