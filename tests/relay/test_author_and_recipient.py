"""An author and a recipient with real stores, and between them a network that loses, repeats and delays as it likes.

Whatever the order: the recipient says one word of each message and keeps to it, the author gives one verdict and
`expired` only where the message never is in the inbox, and what the recipient misses is what neither came nor died.
"""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keys.signing import CONTENT, FRAME, UnverifiedRecord, sign_record
from protocol.content import content_digest, encode_bundle, encode_content
from protocol.frame import (
    COPY_ITEM,
    RECEIPT_ITEM,
    encode_frame,
    encode_frame_payload,
    encode_items,
    items_digest,
    make_item,
)
from protocol.ids import Address, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import SECOND_US
from protocol.padding import pack
from protocol.receipt import decode_receipt
from protocol.topics import FrameTopic
from relay.ending import Ending, Terms
from relay.examine import Examined, Eyes, examine
from relay.identity import Identity
from relay.keyring import Keyring
from relay.sealing import seal
from relay.settle import OutboxView, Outcome, Settlement
from relay.store import events, held, remains, sent, streams
from relay.store.held import Held
from relay.store.sealed_table import SealedTable
from relay.store.sent import Accepted, Addressee, Prepared, Sealing, ToSeal
from relay.store.tables import RECIPIENTS, SENT, STREAMS
from tests import world
from tests.relay.office_store import office_store, state_of
from tests.relay.test_settlement import BOUNDS, ENTROPY, eyes

MESSAGES = 4
GRACE_US = 60 * SECOND_US
VERDICTS = {"delivered", "refused", "expired", "unconfirmed"}
IDS = [MessageId(bytes(15) + bytes((number,))) for number in range(1, MESSAGES + 1)]
BUNDLES = {}
for _id in IDS:
    _content = world.make_content(id=_id)
    _record = sign_record(world.COUNTY_KEY, CONTENT, encode_content(_content))
    BUNDLES[_id] = (_content, world.make_bundle(_record))
EXPIRES_US = next(iter(BUNDLES.values()))[0].expires_us
LATER = Sealing(lambda wanted: None, begun=False)
AUTHOR = Identity(world.COUNTY, world.COUNTY_KEY, Life(world.EPOCH), 1)


ANY = st.integers(0, 1_000)


class AuthorAndRecipient(RuleBasedStateMachine):
    """The county writes to the province through the city, which is the network here."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.author = self._stack.enter_context(office_store("author"))
        self.recipient = self._stack.enter_context(office_store("recipient"))
        self.now_us = world.NOW_US
        self.copies: list[bytes] = []
        self.to_recipient: list[bytes] = []
        self.to_author: list[bytes] = []
        self.words: dict[bytes, bytes] = {}
        self.wanted: dict[bytes, ToSeal] = {}
        self.seen: set[int] = set()
        self.sent: set[MessageId] = set()

    def teardown(self) -> None:
        self._stack.close()

    @initialize()
    def accept(self) -> None:
        for message_id in IDS:
            content, bundle = BUNDLES[message_id]
            prepared = Prepared(
                message_id=message_id,
                fingerprint=bytes(32),
                lane=Lane.FLASH,
                entitlement=1,
                created_us=content.created_us,
                expires_us=content.expires_us,
                deadline_us=None,
                bundle=bundle,
                digest=content_digest(bundle.record),
                addressees=(Addressee(world.PROVINCE, world.PROVINCE_ADDRESS),),
                answer=b"{}",
                sender=world.COUNTY,
            )
            group = self.author.run(partial(sent.accept, prepared=[prepared], sealing=LATER))
            (result,) = group.results
            assert isinstance(result, Accepted)
            (self.wanted[message_id],) = result.to_seal

    @rule(message_id=st.sampled_from(IDS))
    def send(self, message_id: MessageId) -> None:
        """Sealed, recorded as begun, and out; nothing when it is declared dead."""
        if self.author.run(lambda txn: sent.mark_sealed(txn, message_id, world.PROVINCE, begun=True)):
            _, bundle = BUNDLES[message_id]
            packed = pack(encode_bundle(bundle))
            copy = seal(
                self.wanted[message_id], packed, AUTHOR, world.NETWORK, world.PREKEY_IDS[1], world.PREKEY_PUBLICS[1],
                bytes(44),
            )  # fmt: skip
            assert copy is not None
            self.author.run(lambda txn: held.hold(txn, [copy]))
            self.copies.append(copy.data)
            self.sent.add(message_id)

    @rule(message_id=st.sampled_from(IDS), table=st.sampled_from((RECIPIENTS, SENT)))
    def a_row_rots(self, message_id: MessageId, table: SealedTable) -> None:
        """Beyond mending; what can be is made again, and what was to be sealed and has no words ends (G1)."""
        rot = f"UPDATE {table.name} SET sealed = zeroblob(60) WHERE message_id = ?"  # noqa: S608 - a constant
        self.author.run(lambda txn: txn.connection.execute(rot, (message_id,)))
        self.author.run(lambda txn: table.select(txn, "message_id = ?", (message_id,)))
        place: remains.Place | None = remains.Place()
        while place is not None:
            found, place = self.author.run(partial(remains.incomplete, place=place, since_us=0))
            for one, office in found:
                assert (one, office) == (message_id, world.PROVINCE)
                self.author.run(
                    lambda txn: remains.rebuild(txn, message_id, world.PROVINCE, world.PROVINCE_ADDRESS, world.COUNTY)
                )
        waiting = [one for one in self.author.run(partial(sent.to_seal, limit=10)) if one.message_id == message_id]
        self.wanted |= {one.message_id: one for one in waiting}
        terms = Terms(AUTHOR, world.NETWORK, GRACE_US)
        lost = [(one.message_id, one.office) for one in waiting]
        ended = self.author.run(lambda txn: Ending(replace(txn, now_us=self.now_us), terms).by_loss(lost))
        self.to_recipient += [one.data for one in ended.taken]

    @rule(step_us=st.sampled_from((SECOND_US, GRACE_US, world.DAY_US, 3 * world.DAY_US)))
    def wait(self, step_us: int) -> None:
        self.now_us = min(self.now_us + step_us, EXPIRES_US + 10 * world.DAY_US)

    @rule(settled=st.booleans())
    def time_does_its_work(self, settled: bool) -> None:
        terms = Terms(AUTHOR, world.NETWORK, GRACE_US)
        ended = self.author.run(lambda txn: Ending(replace(txn, now_us=self.now_us), terms).by_time(settled=settled))
        self.to_recipient += [one.data for one in ended.taken]

    @rule(message_id=st.sampled_from(IDS))
    def cancel(self, message_id: MessageId) -> None:
        terms = Terms(AUTHOR, world.NETWORK, GRACE_US)
        ended, _ = self.author.run(lambda txn: Ending(replace(txn, now_us=self.now_us), terms).by_will(message_id))
        self.to_recipient += [one.data for one in ended.taken]

    @precondition(lambda self: self.copies)
    @rule(which=ANY)
    def a_copy_arrives(self, which: int) -> None:
        self._arrive(COPY_ITEM, self.copies[which % len(self.copies)])

    @precondition(lambda self: self.to_recipient)
    @rule(which=ANY)
    def a_tombstone_arrives(self, which: int) -> None:
        self._arrive(RECEIPT_ITEM, self.to_recipient[which % len(self.to_recipient)])

    @precondition(lambda self: self.to_author)
    @rule(which=ANY)
    def an_answer_arrives(self, which: int) -> None:
        answer = self.to_author[which % len(self.to_author)]
        examined = self._examine(RECEIPT_ITEM, answer, world.PROVINCE, world.COUNTY)
        self.author.run(lambda txn: self._settle(txn, world.COUNTY, examined))

    def _arrive(self, kind: int, item: bytes) -> None:
        examined = self._examine(kind, item, world.COUNTY, world.PROVINCE)
        outcome = self.recipient.run(lambda txn: self._settle(txn, world.PROVINCE, examined))
        for one in outcome.taken:
            self._hear(one)
        self.recipient.run(lambda txn: streams.tell(txn, self.now_us, 10, world.PROVINCE))

    def _hear(self, said: Held) -> None:
        receipt = decode_receipt(UnverifiedRecord(said.data, max_bytes=10_000).payload)
        known = self.words.setdefault(receipt.id, said.data)
        assert known == said.data, "one word of each message, and the same ever after"
        self.seen.add(self.wanted[receipt.id].number)
        self.to_author.append(said.data)

    def _settle(self, txn: Any, me: OfficeId, examined: Examined) -> Outcome:
        view = OutboxView({}, frozenset())
        return Settlement(replace(txn, now_us=self.now_us), me, view, BOUNDS).settle([examined], [])

    def _examine(self, kind: int, data: bytes, origin: OfficeId, to: OfficeId) -> Examined:
        """The city hands an item over."""
        items = encode_items((make_item(kind, data, (origin, world.CITY), 1),))
        frame = world.make_frame(items, items_digest=items_digest(items), receiver=to)
        signed = encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(frame)), items)
        address = Address(world.PROVINCE_ADDRESS if to == world.PROVINCE else world.COUNTY_ADDRESS)
        return examine(signed, FrameTopic(address, Lane.FLASH, world.CITY_ADDRESS), self._eyes(to), (), ENTROPY)

    def _eyes(self, of: OfficeId) -> Eyes:
        if of == world.PROVINCE:
            return eyes(world.PROVINCE, now_us=self.now_us)
        addresses = frozenset((world.COUNTY_ADDRESS,))
        return Eyes(AUTHOR, addresses, world.DIRECTORY, Keyring(), b"", self.now_us)

    @invariant()
    def the_author_says_what_is_true(self) -> None:
        for message_id in IDS:
            standing = self.author.run(lambda txn, id_=message_id: sent.standing(txn, id_, world.PROVINCE))
            assert standing is not None
            assert standing.begun or message_id not in self.sent
            there = self.recipient.run(lambda txn, id_=message_id: state_of(txn, world.COUNTY, id_))
            if standing.state.value == "expired":
                assert there in (None, "dead"), "expired, and in the inbox"
                assert there == "dead" or not standing.begun, "expired although it was sent, and nobody said so"
            if standing.state.arrived:
                assert there == "new"

    @invariant()
    def verdicts_are_given_once(self) -> None:
        for message_id in IDS:
            log = self.author.run(lambda txn, id_=message_id: sent_events(txn, id_))
            assert len([type_ for type_ in log if type_ in VERDICTS]) <= 1

    @invariant()
    def what_is_missing_neither_came_nor_died(self) -> None:
        rows = self.recipient.run(STREAMS.select)
        known = [streams.stream_of(row) for row in rows]
        missing = {number for one in known for hole in one.holes for number in range(hole.first, hole.last + 1)}
        assert missing == set(range(1, max(self.seen, default=0))) - self.seen


def sent_events(txn: Any, message_id: MessageId) -> list[str]:
    """Types of what was recorded of a message."""
    return [event.type for event in events.of_message(txn, message_id)]


TestG04G08AuthorAndRecipient = AuthorAndRecipient.TestCase
TestG04G08AuthorAndRecipient.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
