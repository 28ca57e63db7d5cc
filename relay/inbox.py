"""What a clerk or a program does with messages that arrived (CONTRACT section 6).

Opening, signing for and returning make receipts; they are sealed to the sender, committed together with the new state
and only then sent (G7).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from protocol.content import Bundle
from protocol.errors import Refused
from protocol.ids import MessageId, OfficeId, message_id_text, parse_message_id
from protocol.lanes import Lane, receipt_lane
from protocol.limits import FORWARD_DEPTH, SECOND_US, TEXT_CHARS
from protocol.receipt import Receipt
from relay.ground import Ground
from relay.naming import id_range, only
from relay.presenting import content_of, forward_depth, inbox_line, inbox_object
from relay.receipting import ENTROPY_BYTES, receipt_expiry_us, seal_receipt
from relay.store import events, held, inbox
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.inbox import Received
from relay.times import time_text

STATES = ("new", "opened", "taken", "signed_for", "returned")
UNDECIDED = ("new", "opened", "taken")


class Inbox:
    """The inbox of this office."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def listed(self, state: str | None, limit: int) -> list[dict[str, Any]]:
        """Messages in the order they came; changes nothing."""
        if state is not None and state not in STATES:
            raise Refused("BAD_FIELD", f"unknown state {state[:40]!r}", field="state")
        found = await self._ground.store.read(partial(inbox.listed, state=state, limit=limit))
        return [inbox_line(message) for message in found]

    async def show(self, prefix: str) -> dict[str, Any]:
        """One message with its body; that opens it."""
        message = await self._open(prefix)
        return inbox_object(message, self._ground.directory)

    async def files(self, prefix: str) -> dict[str, Any]:
        """A message with its attachments' bytes; that opens it."""
        message = await self._open(prefix)
        content = content_of(message.bundle)
        return {
            "meta": inbox_object(message, self._ground.directory),
            "body": message.bundle.body,
            "attachments": [
                {"name": record.name, "data": data}
                for record, data in zip(content.attachments, message.bundle.files, strict=True)
            ],
        }

    async def take(self, limit: int) -> list[dict[str, Any]]:
        """Hand new messages to a program, each once as new; others again as redelivered (G2)."""
        redeliver_us = round(self._ground.settings.inbox.redeliver_s * SECOND_US)
        before_us = self._ground.clock.now_us() - redeliver_us
        taken = await self._ground.store.write(
            Lane.PRIORITY, partial(inbox.take, limit=limit, redeliver_before_us=before_us)
        )
        return [inbox_object(message, self._ground.directory) for message, _ in taken]

    async def acknowledge(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The program has these for good."""
        wanted = [parse_message_id(text) for text in ids]
        results = await self._ground.store.write(Lane.PRIORITY, partial(_acknowledge, ids=wanted))
        return [
            {"id": message_id_text(message_id), "acked": True} | ({} if first else {"repeated": True})
            for message_id, first in results
        ]

    async def sign_for(self, text: str, by: str, signature: bytes | None) -> dict[str, Any]:
        """签收: a clerk takes a message over; the sender is told who."""
        if not by.strip() or len(by) > TEXT_CHARS or not by.isprintable():
            raise Refused("BAD_FIELD", "name the person who signs", field="by")
        if signature is not None:
            raise Refused("BAD_FIELD", "this network has no rules for persons' signatures yet", field="signature")
        persons = self._ground.me.persons
        if persons and by not in {person.name for person in persons}:
            raise Refused("UNKNOWN_PERSON", f"{by} is no person of this office", field="by")
        return await self._decide(text, "signed_for", "office_attested", by)

    async def give_back(self, text: str, reason: str) -> dict[str, Any]:
        """退回: the message goes back with a reason."""
        if not reason.strip() or len(reason) > TEXT_CHARS or not reason.replace("\n", " ").isprintable():
            raise Refused("BAD_FIELD", "say in up to 1,000 characters why", field="reason")
        return await self._decide(text, "returned", "", reason)

    async def original(self, text: str) -> tuple[Received, Bundle]:
        """The message to be forwarded."""
        message = await self._find(text)
        if forward_depth(message.bundle) >= FORWARD_DEPTH:
            raise Refused("TOO_LARGE", f"forwarded more than {FORWARD_DEPTH} times", field="id")
        return message, message.bundle

    async def _find(self, prefix: str) -> Received:
        low, high = id_range(prefix)
        message = await self._ground.store.read(partial(_only, low=low, high=high, prefix=prefix))
        if message is None:
            raise Refused("NOT_FOUND", f"no message {prefix} in the inbox", field="id")
        return message

    async def _open(self, prefix: str) -> Received:
        """Find a message; the first look at it is told to its sender."""
        message = await self._find(prefix)
        if message.state != "new":
            return message
        answer = await self._seal_answer(message, "opened", "", "")
        if answer is None:
            return message
        changed = await self._commit(message, answer, "opened", ("new",))
        return await self._find(message_id_text(message.message_id)) if changed else message

    async def _decide(self, text: str, state: str, code: str, detail: str) -> dict[str, Any]:
        message = await self._find(text)
        if message.state == state:
            return self._decided(message, state, repeated=True)
        if message.state not in UNDECIDED:
            raise Refused("WRONG_STATE", f"the message is {message.state}", field="id")
        answer = await self._seal_answer(message, state, code, detail)
        if answer is None:
            raise Refused("BUSY", "no valid prekey of the sender yet, so that the receipt cannot be sealed")
        if not await self._commit(message, answer, state, UNDECIDED):
            raise Refused("WRONG_STATE", "somebody else decided meanwhile", field="id")
        decided = self._decided(message, state, repeated=False)
        return decided | ({"by": detail, "mode": code} if state == "signed_for" else {"reason": detail})

    def _decided(self, message: Received, state: str, *, repeated: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": message_id_text(message.message_id),
            "state": state,
            "from": content_of(message.bundle).sender_address,
            "at": time_text(self._ground.clock.now_us()),
        }
        return shown | ({"repeated": True} if repeated else {})

    async def _seal_answer(self, message: Received, type_: str, code: str, detail: str) -> tuple[Held, bytes] | None:
        """A receipt sealed to the sender, or None while no valid prekey of it is known."""
        ground = self._ground
        now_us = ground.clock.now_us()
        sealing = ground.keyring.current(message.sender, ground.directory.rules.suites, now_us)
        if sealing is None:
            return None
        receipt = Receipt(
            network=ground.directory.network_id,
            type=type_,
            id=message.message_id,
            by=ground.identity.office,
            recipient=ground.identity.office,
            to=message.sender,
            digest=message.digest,
            at_us=now_us,
            lane=receipt_lane(message.lane),
            expires_us=receipt_expiry_us(content_of(message.bundle).expires_us, now_us),
            code=code,
            detail=detail,
        )
        entropy = ground.entropy.bytes(ENTROPY_BYTES)
        seal = partial(seal_receipt, ground.identity, receipt, sealing[0].prekey_id, sealing[1], entropy)
        return await ground.offload.run(seal)

    async def _commit(self, message: Received, answer: tuple[Held, bytes], state: str, allowed: Sequence[str]) -> bool:
        """State, receipt and event in one change; then the receipt may leave."""
        ground = self._ground
        change = partial(
            _decide, message=message, answer=answer, state=state, allowed=allowed, me=ground.identity.office
        )
        result = await ground.store.write(answer[0].parcel.lane, change)
        if result is None:
            return False
        taken, logged = result
        for one in taken:
            ground.shelf.put(one.parcel.digest, one.data)
            ground.outbox.hold(one.parcel, ground.clock.monotonic_us())
        ground.news.publish(logged)
        ground.kick()
        return True


def _only(txn: Txn, low: bytes, high: bytes, prefix: str) -> Received | None:
    return inbox.get(txn, *only(inbox.find(txn, low, high), prefix))


def _acknowledge(txn: Txn, ids: Sequence[MessageId]) -> list[tuple[MessageId, bool]]:
    results = []
    for message_id in ids:
        sender, _ = only(inbox.find(txn, message_id, message_id), message_id_text(message_id))
        results.append((message_id, inbox.acknowledge(txn, sender, message_id)))
    return results


def _decide(
    txn: Txn, message: Received, answer: tuple[Held, bytes], state: str, allowed: Sequence[str], me: OfficeId
) -> tuple[list[Held], list[Event]] | None:
    if not inbox.change_state(txn, message.sender, message.message_id, state, allowed):
        return None
    inbox.keep_receipt(txn, message.sender, message.message_id, state, txn.now_us, answer[0].data, answer[1])
    logged = events.append(txn, [Event(message.message_id, message.sender, state, txn.now_us, me, True)])
    return held.hold(txn, [answer[0]]), logged
