"""What a clerk or a program does with messages that arrived (CONTRACT section 6).

Opening, signing for and returning make receipts; they are sealed to the sender, committed together with the new state
and only then sent (G7).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from keys.approvals import check_signed_for, standing_of
from keys.signing import UnverifiedRecord
from protocol.content import Bundle
from protocol.errors import Refused, RemoteError
from protocol.ids import OfficeId, message_id_text, parse_address
from protocol.lanes import Lane, receipt_lane
from protocol.limits import CONTENT_BYTES, FORWARD_DEPTH, RECORD_BYTES, SECOND_US, TEXT_CHARS
from protocol.receipt import Receipt, decode_receipt
from protocol.signing_for import OFFICE_ATTESTED, PERSON_SIGNED
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
AT_ONCE = 200
"""Most messages handed out or acknowledged in one change: about 10 ms, so that a flash message waits no longer."""
TAKEN_BYTES = 4 * CONTENT_BYTES
"""Words handed out for one call: with their JSON about 50 MiB of memory (G13), and 1,000 reports of 4 KiB."""


class Inbox:
    """The inbox of this office."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def listed(self, state: str | None, limit: int) -> list[dict[str, Any]]:
        """Messages in the order they came; changes nothing."""
        if state is not None and state not in STATES:
            raise Refused("BAD_FIELD", f"unknown state {state[:40]!r}", field="state")
        lines: list[dict[str, Any]] = []
        page = partial(inbox.listed, state=state)
        while found := await self._ground.store.read(partial(page, limit=limit - len(lines))):
            lines += [inbox_line(message) for message in reversed(found)]
            page = partial(page, below=found[0].seq)
        return lines[::-1]

    async def head(self, text: str) -> dict[str, Any]:
        """The line of one message, which is what a person signs for; changes nothing."""
        return inbox_line(await self._find(text))

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
        take = partial(inbox.take, redeliver_before_us=before_us, start=self._ground.identity.boot)
        taken: list[Received] = []
        room_bytes = TAKEN_BYTES
        while len(taken) < limit and room_bytes > 0:
            rows = min(limit - len(taken), AT_ONCE)
            some = await self._ground.store.write(Lane.PRIORITY, partial(take, limit=rows, max_bytes=room_bytes))
            if not some:
                break
            taken += some
            room_bytes -= sum(message.bundle.size for message in some)
        return [inbox_object(message, self._ground.directory) for message in taken]

    async def acknowledge(self, ids: Sequence[str]) -> list[dict[str, Any] | Refused]:
        """The program has these for good. One answer for each, in order; one that is refused stops no other."""
        answers: list[dict[str, Any] | Refused] = []
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            answers += await self._ground.store.write(Lane.PRIORITY, partial(_acknowledge, ids=some))
        return answers

    async def sign_for(self, text: str, by: str, signature: bytes | None) -> dict[str, Any]:
        """签收: a clerk takes a message over; the sender is told who."""
        if not by.strip() or len(by) > TEXT_CHARS or not by.isprintable():
            raise Refused("BAD_FIELD", "name the person who signs", field="by")
        self._check_person(by)
        code = OFFICE_ATTESTED if signature is None else PERSON_SIGNED
        return await self._decide(text, "signed_for", code, by, signature or b"")

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

    def _check_person(self, name: str) -> None:
        """Where the directory names persons of this office, one of them signs, and validly; raises `Refused`."""
        if not self._ground.me.persons:
            return
        person = self._ground.me.person(name)
        if person is None:
            raise Refused("UNKNOWN_PERSON", f"{name} is no person of this office", field="by")
        code = standing_of(person, self._ground.clock.now_us())
        if code is not None:
            raise Refused(code, f"the key of {name}", field="by")

    async def _find(self, text: str) -> Received:
        """A message by id or prefix, where two senders chose the same id as `ID@ADDRESS`; raises `Refused`."""
        prefix, _, address = text.partition("@")
        office = self._ground.directory.by_address(parse_address(address, field="id")) if address else None
        if address and office is None:
            raise Refused("NOT_FOUND", f"{address} is not in the directory", field="id")
        sender = None if office is None else office.id
        low, high = id_range(prefix)
        message = await self._ground.store.read(partial(_only, low=low, high=high, prefix=prefix, sender=sender))
        if message is None:
            raise Refused("NOT_FOUND", f"no message {prefix} in the inbox", field="id")
        return message

    async def _open(self, prefix: str) -> Received:
        """Find a message; the first look at it is told to its sender, also when a program took it before."""
        message = await self._find(prefix)
        if message.state not in ("new", "taken") or await self._said(message, "opened") is not None:
            return message
        answer = await self._seal_answer(message, "opened", "", "")
        if answer is None:
            return message
        state = "opened" if message.state == "new" else "taken"
        try:
            changed = await self._commit(message, answer, "opened", state, (message.state,))
        except Refused as refused:
            # A full store must not keep a reader from a message: it stays unopened, and the next look tells the sender.
            if refused.code not in ("STORE_FULL", "BUSY"):
                raise
            return message
        return replace(message, state=state) if changed else await self._find(prefix)

    async def _decide(self, text: str, state: str, code: str, detail: str, proof: bytes = b"") -> dict[str, Any]:
        message = await self._find(text)
        if message.state == state:
            said = await self._said(message, state)
            if said is not None and (said.code, said.detail) == (code, detail):
                return _decided(message, said) | {"repeated": True}
        if message.state not in UNDECIDED:
            raise Refused("WRONG_STATE", f"the message is {message.state}", field="id")
        answer = await self._seal_answer(message, state, code, detail, proof)
        if answer is None:
            raise Refused("BUSY", "no valid prekey of the sender yet, so that the receipt cannot be sealed")
        if not await self._commit(message, answer, state, state, UNDECIDED):
            raise Refused("WRONG_STATE", "somebody else decided meanwhile", field="id")
        return _decided(message, _receipt_of(answer[1]))

    async def _said(self, message: Received, type_: str) -> Receipt | None:
        """The receipt of a type that this office made about a message before."""
        find = partial(inbox.plain_receipt, sender=message.sender, message_id=message.message_id, type_=type_)
        record = await self._ground.store.read(find)
        return None if record is None else _receipt_of(record)

    async def _seal_answer(
        self, message: Received, type_: str, code: str, detail: str, proof: bytes = b""
    ) -> tuple[Held, bytes] | None:
        """A receipt sealed to the sender, or None while no valid prekey of it is known; `proof` is a person's record.

        Raises `Refused` BAD_SIGNATURE for a proof that does not hold: nobody else must find that out later.
        """
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
            proof=proof,
        )
        try:
            check_signed_for(receipt, ground.directory)
        except RemoteError as error:
            raise Refused("BAD_SIGNATURE", error.detail, field="signature") from None
        entropy = ground.entropy.bytes(ENTROPY_BYTES)
        seal = partial(seal_receipt, ground.identity, receipt, sealing[0].prekey_id, sealing[1], entropy)
        return await ground.offload.run(seal, 1)

    async def _commit(
        self, message: Received, answer: tuple[Held, bytes], type_: str, state: str, allowed: Sequence[str]
    ) -> bool:
        """State, receipt and event in one change; then the receipt may leave, even if the caller has gone."""
        return await self._ground.finish(self._commit_and_send(message, answer, type_, state, allowed))

    async def _commit_and_send(
        self, message: Received, answer: tuple[Held, bytes], type_: str, state: str, allowed: Sequence[str]
    ) -> bool:
        ground = self._ground
        change = partial(
            _answer,
            message=message,
            answer=answer,
            type_=type_,
            state=state,
            allowed=allowed,
            me=ground.identity.office,
        )
        result = await ground.store.write(answer[0].parcel.lane, change)
        if result is None:
            return False
        taken, logged = result
        ground.hold(taken)
        ground.news.publish(logged)
        ground.kick()
        return True


def _only(txn: Txn, low: bytes, high: bytes, prefix: str, sender: OfficeId | None) -> Received | None:
    found = [key for key in inbox.find(txn, low, high) if sender in (None, key[0])]
    if len(found) > 1 and len({message_id for _, message_id in found}) == 1:
        raise Refused("AMBIGUOUS", f"several offices sent {prefix}: name one as ID@ADDRESS", field="id")
    return inbox.get(txn, *only(found, prefix))


def _acknowledge(txn: Txn, ids: Sequence[str]) -> list[dict[str, Any] | Refused]:
    answers: list[dict[str, Any] | Refused] = []
    for text in ids:
        try:
            answers.append(_acknowledge_one(txn, text))
        except Refused as refused:
            answers.append(refused)
    return answers


def _acknowledge_one(txn: Txn, text: str) -> dict[str, Any]:
    """One id, from whichever senders it was taken."""
    found = inbox.find(txn, *id_range(text))
    message_id = only(sorted({message_id for _, message_id in found}), text)
    done = [inbox.acknowledge(txn, sender, message_id) for sender, _ in found]
    if "untaken" in done and len(set(done)) == 1:
        raise Refused("WRONG_STATE", "this message was never taken", field="id")
    return {"id": message_id_text(message_id), "acked": True} | ({} if "acked" in done else {"repeated": True})


def _answer(
    txn: Txn,
    message: Received,
    answer: tuple[Held, bytes],
    type_: str,
    state: str,
    allowed: Sequence[str],
    me: OfficeId,
) -> tuple[list[Held], list[Event]] | None:
    """State, receipt and event at once; None when somebody was quicker."""
    sender, message_id = message.sender, message.message_id
    if inbox.receipt(txn, sender, message_id, type_) is not None:
        return None
    if not inbox.change_state(txn, sender, message_id, state, allowed):
        return None
    inbox.keep_receipt(txn, sender, message_id, type_, txn.now_us, answer[0].data, answer[1])
    logged = events.append(txn, [Event(message_id, sender, type_, txn.now_us, me, True)])
    return held.hold(txn, [answer[0]]), logged


def _receipt_of(record: bytes) -> Receipt:
    """A receipt that this office signed itself."""
    return decode_receipt(UnverifiedRecord(record, max_bytes=RECORD_BYTES).payload)


def _decided(message: Received, said: Receipt) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": message_id_text(message.message_id),
        "state": said.type,
        "from": content_of(message.bundle).sender_address,
        "at": time_text(said.at_us),
    }
    return shown | ({"by": said.detail, "mode": said.code} if said.type == "signed_for" else {"reason": said.detail})
