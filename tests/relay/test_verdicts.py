"""What others say of our messages: believed only over our content, and sealed again only so often (G7, G8)."""

from collections.abc import Iterator

import pytest

from keys.prekeys import make_prekey, parse_prekey
from protocol.content import content_digest
from protocol.copy import copy_digest
from protocol.delivery import State
from protocol.frame import COPY_ITEM
from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import CLOCK_AHEAD_US
from protocol.parcel import Parcel
from protocol.receipt import Receipt
from relay.store import events, held, prekeys, sent
from relay.store.database import Txn
from relay.store.held import Held
from relay.store.sent import Addressee, Prepared, Sealing
from relay.verdicts import RESEALS_MAX, Verdicts
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

BUNDLE = world.make_bundle(b"record")
DIGEST = content_digest(BUNDLE.record)
OTHER_DIGEST = Digest(bytes(32))
OF_CONTENT = ("delivered", "opened", "signed_for", "returned", "refused", "tombstone")
"""What a recipient says of a content, and not of a copy."""
COPY = b"a sealed copy"


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def accept(txn: Txn) -> None:
    """One message from the county to the province, sealed and begun."""
    addressee = Addressee(world.PROVINCE, world.PROVINCE_ADDRESS)
    prepared = Prepared(
        world.MESSAGE, bytes(32), Lane.FLASH, 1, world.NOW_US, world.NOW_US + world.DAY_US, None, BUNDLE, DIGEST,
        (addressee,), b"{}", world.COUNTY,
    )  # fmt: skip
    sent.accept(txn, [prepared], Sealing(lambda wanted: None, begun=False))
    seal(txn)


def seal(txn: Txn) -> None:
    """The copy that travels."""
    assert sent.mark_sealed(txn, world.MESSAGE, world.PROVINCE, begun=True)
    parcel = Parcel(
        copy_digest(COPY), COPY_ITEM, Lane.FLASH, world.COUNTY, world.PROVINCE, len(COPY), (), True, world.MESSAGE
    )
    held.hold(txn, [Held(parcel, world.NOW_US + world.DAY_US, COPY)])


def say(txn: Txn, **changes: object) -> tuple[Verdicts, bool]:
    """A receipt is heard in a change of its own."""
    verdicts = Verdicts(txn)
    receipt: Receipt = world.make_receipt(**{"digest": DIGEST, **changes})
    known = verdicts.receipt(receipt, b"signed")
    verdicts.close()
    return verdicts, known


def state(txn: Txn) -> State:
    standing = sent.standing(txn, world.MESSAGE, world.PROVINCE)
    assert standing is not None
    return standing.state


def test_g07_delivered_counts_over_our_content_only(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        verdicts, _ = say(txn)
        assert (verdicts.delivered, verdicts.mismatched) == (1, 0)
        assert state(txn) is State.DELIVERED
        assert verdicts.released == [copy_digest(COPY)]
        assert not held.is_held(txn, copy_digest(COPY))
        before = events.of_recipient(txn, world.MESSAGE, world.PROVINCE)
        for type_ in OF_CONTENT:
            verdicts, known = say(txn, type=type_, digest=OTHER_DIGEST)
            assert (known, verdicts.mismatched, verdicts.released) == (True, 1, [])
        assert events.of_recipient(txn, world.MESSAGE, world.PROVINCE) == before

    tried(store, change)


@pytest.mark.parametrize("type_", OF_CONTENT)
def test_g07_g08_a_word_over_other_content_under_our_id_refuses_ours_and_counts_for_nothing_else(
    store: InlineStore, type_: str
) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        verdicts, _ = say(txn, type=type_, digest=OTHER_DIGEST)
        assert (verdicts.delivered, verdicts.refused, verdicts.mismatched) == (0, 1, 0)
        assert verdicts.released == [copy_digest(COPY)]
        assert state(txn) is State.REFUSED
        (told,) = [one for one in events.of_recipient(txn, world.MESSAGE, world.PROVINCE) if one.type != "accepted"]
        assert (told.type, told.code, told.record) == ("refused", "ID_REUSED", b"signed")
        # Said again it is known; what contradicts it is a correction.
        assert say(txn, type=type_, digest=OTHER_DIGEST)[0].mismatched == 1
        say(txn)
        assert state(txn) is State.REFUSED
        types = [one.type for one in events.of_recipient(txn, world.MESSAGE, world.PROVINCE)]
        assert types == ["accepted", "refused", "correction"]

    tried(store, change)


def test_g08_silence_that_was_a_used_id_is_corrected(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        sent.set_state(txn, world.MESSAGE, world.PROVINCE, State.UNCONFIRMED)
        for _ in range(2):
            say(txn, digest=OTHER_DIGEST)
        assert state(txn) is State.UNCONFIRMED
        told = [one for one in events.of_recipient(txn, world.MESSAGE, world.PROVINCE) if one.type != "accepted"]
        assert [(one.type, one.code, one.detail) for one in told] == [("correction", "refused", "ID_REUSED")]

    tried(store, change)


def test_g07_another_office_cannot_refuse_for_the_recipient(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        for type_ in OF_CONTENT:
            assert say(txn, type=type_, by=world.CITY, digest=OTHER_DIGEST)[0].mismatched == 1
        assert state(txn) is State.ACCEPTED

    tried(store, change)


def test_g08_a_later_contrary_fact_is_a_correction_and_said_once(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        say(txn, type="refused", code="NOT_ACCEPTED")
        for _ in range(3):
            say(txn)
        assert state(txn) is State.REFUSED
        types = [event.type for event in events.of_recipient(txn, world.MESSAGE, world.PROVINCE)]
        assert types.count("correction") == 1
        assert types.count("delivered") == 0

    tried(store, change)


def test_what_we_did_not_send_is_not_ours(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        assert not say(txn, id=MessageId(bytes(16)))[1]
        assert not say(txn, recipient=world.CITY, by=world.CITY)[1]

    tried(store, change)


def prekey(epoch: int, at_us: int) -> bytes:
    """A prekey of the province of this epoch, valid from that time on."""
    return make_prekey(
        world.PROVINCE_KEY, network_id=world.NETWORK, office_id=world.PROVINCE, suite=1, seed=bytes([epoch]) * 32,
        now_us=at_us, epoch_seen=epoch - 1,
    ).data  # fmt: skip


def test_g16_a_recipient_that_has_no_prekey_to_seal_to_uses_up_no_try(store: InlineStore) -> None:
    """It was restored, or has a wrong clock, and will have another as soon as it knows (SPEC M45)."""

    def change(txn: Txn) -> None:
        accept(txn)
        known = prekey(5, txn.now_us)
        prekeys.keep(txn, parse_prekey(known))
        twin = prekey(5, txn.now_us - 1)
        for useless in (b"no prekey", prekey(4, txn.now_us), twin, prekey(6, txn.now_us + CLOCK_AHEAD_US + 1)):
            for _ in range(RESEALS_MAX + 1):
                verdicts, _ = say(txn, type="prekey_gone", digest=copy_digest(COPY), proof=useless)
                assert (verdicts.prekeys, verdicts.released) == ([useless], [])
        later_twin = prekey(5, txn.now_us + 1)
        for usable in (known, later_twin, prekey(6, txn.now_us + CLOCK_AHEAD_US)):
            verdicts, _ = say(txn, type="prekey_gone", digest=copy_digest(COPY), proof=usable)
            assert verdicts.released == [copy_digest(COPY)]
            seal(txn)

    tried(store, change)


def test_d07_a_copy_is_sealed_again_at_most_three_times(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        fresh = prekey(5, txn.now_us)
        gone = {"type": "prekey_gone", "digest": copy_digest(COPY), "proof": fresh}
        assert say(txn, **gone, by=world.CITY)[0].prekeys == []
        assert say(txn, **{**gone, "digest": Digest(bytes(32))})[0].prekeys == []
        for _ in range(RESEALS_MAX):
            assert say(txn, **gone)[0].prekeys == [fresh]
            seal(txn)
        assert RESEALS_MAX == 3
        for _ in range(3):
            verdicts, _ = say(txn, **gone)
            assert (verdicts.prekeys, verdicts.released) == ([], [])
            assert held.is_held(txn, copy_digest(COPY))

    tried(store, change)


@pytest.mark.parametrize("state", [State.ACCEPTED, State.CUSTODY])
def test_g07_custody_of_another_copy_is_not_believed_before_the_verdict(store: InlineStore, state: State) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        sent.set_state(txn, world.MESSAGE, world.PROVINCE, state)
        for digest in (Digest(bytes(32)), DIGEST):
            verdicts, _ = say(txn, type="custody", by=world.CITY, digest=digest)
            assert verdicts.log == []
        verdicts, _ = say(txn, type="custody", by=world.CITY, digest=copy_digest(COPY))
        assert [one.type for one in verdicts.log] == ["custody"]

    tried(store, change)
