"""What is done when something on the way failed: other ways, damaged parcels, prekeys that are gone (D1, D2, D7)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from keys.signing import UnverifiedRecord
from protocol.content import encode_bundle
from protocol.copy import copy_digest
from protocol.errors import RemoteError
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import MAX_LIFE_US, RECORD_BYTES
from protocol.padding import pack
from protocol.parcel import Rerouted
from protocol.receipt import decode_receipt
from relay.ground import Ground
from relay.receipting import ENTROPY_BYTES, custody_lost, prekey_of, seal_record
from relay.sealer import Sealer
from relay.sealing import ENTROPY_BYTES as SEALING_BYTES
from relay.sealing import seal
from relay.settle import Outcome
from relay.store import events, held, inbox, sent
from relay.store.damage import was_moved_aside
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.inbox import SealedReceipt
from relay.store.tables import HELD

NOTES_MAX = 20
"""Most notes of ways given up that wait to be written: on a full disk that lasts for hours the others are dropped, for
they only tell a story (G13)."""

_log = structlog.get_logger()


class Recovery:
    """Acts on failures; what changes custody is recorded before it is acted upon."""

    def __init__(self, ground: Ground, sealer: Sealer, take_prekey: Callable[[bytes], Awaitable[None]]) -> None:
        self._ground = ground
        self._sealer = sealer
        self._take_prekey = take_prekey
        self._writing = 0

    def note_rerouted(self, rerouted: Sequence[Rerouted]) -> None:
        """Ways given up: for our own copies this is part of the message's story."""
        log = []
        for one in rerouted:
            parcel = self._ground.outbox.get(one.digest)
            if parcel is not None and parcel.kept_after_custody:
                now_us = self._ground.clock.now_us()
                log.append(Event(parcel.message_id, parcel.recipient, "rerouted", now_us, one.avoided))
        if log and self._writing < NOTES_MAX:
            self._writing += 1
            self._ground.spawn(self._write(log))

    async def _write(self, log: list[Event]) -> None:
        try:
            await self._ground.commit(Lane.ROUTINE, partial(events.append, events=log))
        finally:
            self._writing -= 1

    async def follow_up(self, outcome: Outcome) -> None:
        """What an intake batch asks for beyond custody: newer prekeys, sealing again."""
        for record in (*outcome.prekeys, *(record for _, record in outcome.unopened)):
            try:
                await self._take_prekey(record)
            except RemoteError as error:
                # Older than the one we have, or no prekey at all: what we have is sealed to.
                _log.warning("prekey_not_taken", code=error.code)
        if outcome.prekeys:
            await self._sealer.load()
        for sealed, _ in outcome.unopened:
            await self._seal_receipt_again(sealed)
        for message_id, office in outcome.again:
            await self._send_again(message_id, office)

    async def _seal_receipt_again(self, old: SealedReceipt) -> None:
        """A receipt that its reader could not open leaves once more, sealed to the reader's newer prekey."""
        ground = self._ground
        current = ground.keyring.current(old.sender, ground.directory.rules.suites, ground.clock.now_us())
        if current is None or current[0].prekey_id == prekey_of(old.left):
            return
        receipt = decode_receipt(UnverifiedRecord(old.plain, max_bytes=RECORD_BYTES).payload)
        entropy = ground.entropy.bytes(ENTROPY_BYTES)
        seal = partial(seal_record, ground.identity, old.plain, receipt, current[0].prekey_id, current[1], entropy)
        new = await ground.offload.run(seal, 1)
        before = copy_digest(old.left)
        taken = await ground.commit(new.parcel.lane, partial(_replace_receipt, old=old, new=new))
        ground.release([before])
        ground.hold(taken)
        ground.kick()

    async def _send_again(self, message_id: MessageId, office: OfficeId) -> None:
        """A recipient lost what it had: one more copy for it, while the message lives and its words are here (M45).

        Where something is missing nothing is said: the recipient asks again.
        """
        ground = self._ground
        now_us = ground.clock.now_us()
        found = await ground.store.read(partial(sent.whole, message_id=message_id, office=office))
        current = ground.keyring.current(office, ground.directory.rules.suites, now_us)
        if found is None or current is None or found[0].expires_us <= now_us:
            return
        wanted, bundle = found
        work = partial(
            seal, wanted, pack(encode_bundle(bundle)), ground.identity, ground.directory.network_id,
            current[0].prekey_id, current[1], entropy=ground.entropy.bytes(SEALING_BYTES),
        )  # fmt: skip
        copy = await ground.offload.run(work, 1)
        if copy is None:
            return
        # Kept like a receipt: the verdict stands, so that whoever has custody of this copy answers for it.
        copy = replace(copy, parcel=replace(copy.parcel, is_origin=False))
        event = Event(message_id, office, "resealed", now_us, office, True, "DAMAGED")
        taken, logged = await ground.commit(wanted.lane, partial(_hold_again, copy=copy, event=event))
        ground.hold(taken)
        ground.news.publish(logged)
        ground.kick()

    async def parcel_gone(self, digest: Digest) -> None:
        """A parcel of the outbox has no row: it is over since a moment ago, or its row was damaged.

        Then our own copy is sealed again, and the origin of another's is told, so that it sends it again (D10).
        """
        ground = self._ground
        parcel = ground.outbox.get(digest)
        ground.outbox.release(digest)
        if parcel is None:
            return
        _log.warning("parcel_gone", digest=digest.hex(), message_id=parcel.message_id.hex())
        if parcel.kept_after_custody:
            change = partial(sent.seal_again, message_id=parcel.message_id, office=parcel.recipient)
            await ground.commit(parcel.lane, change)
            await self._sealer.load()
            return
        if parcel.origin == ground.identity.office or not parcel.carries_message:
            # A receipt: the stored one is sent again when the message comes again.
            return
        now_us = ground.clock.now_us()
        lost = custody_lost(
            ground.identity, ground.directory.network_id, parcel, now_us + MAX_LIFE_US, now_us, "DAMAGED"
        )
        ground.hold(await ground.commit(parcel.lane, partial(_hold_notice, notice=lost, digest=digest)))
        ground.kick()


def _hold_notice(txn: Txn, notice: Held, digest: Digest) -> list[Held]:
    """Into custody only when the row was damaged: a parcel that is merely over needs no notice."""
    return held.hold(txn, [notice]) if was_moved_aside(txn, HELD.name, digest.hex()) else []


def _hold_again(txn: Txn, copy: Held, event: Event) -> tuple[list[Held], list[Event]]:
    return held.hold(txn, [copy]), events.append(txn, [event])


def _replace_receipt(txn: Txn, old: SealedReceipt, new: Held) -> list[Held]:
    if not inbox.replace_receipt(txn, old, new.data):
        return []
    held.forget(txn, copy_digest(old.left))
    return held.hold(txn, [new])
