"""What is done about damaged rows beyond setting them aside: an alarm, what can be made again from other rows, and
messages asked for again (D10, SPEC M45).

Rows are also looked through that nobody asks for: a bit of a column that queries go by hides a row from all of them.
"""

import asyncio
from functools import partial
from typing import Final

import structlog

from protocol.ids import message_id_text
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.receipt import Receipt
from relay.ground import Ground
from relay.receipting import make_receipt, receipt_expiry_us
from relay.retention import keeping_of
from relay.sealer import Sealer
from relay.store import held, lost, remains
from relay.store.damage import Damage, read_damage
from relay.store.database import Txn
from relay.store.held import Held
from relay.store.lost import Lost
from relay.store.remains import Place
from relay.store.sealed_table import BEGINNING
from relay.store.tables import ALL

TURN_S: Final = 10.0
"""How often it is looked whether more rows were found damaged."""
ASK_AGAIN_US: Final = 3_600 * SECOND_US
"""A sender that is away answers when it is back; until then nobody asks more than once an hour."""
LOST_AT_ONCE: Final = 200
"""Most messages asked for, named or forgotten in one turn."""
NAMED: Final = 5
"""Most messages that the alarm names."""
LOOKED_THROUGH: Final = 100
"""Rows opened in one turn, about 10 ms of the largest: a million rows take a day."""
REST_US: Final = 3_600 * SECOND_US
"""After the last row it rests, unless damage is found meanwhile: a small store need not be opened for ever."""
FIRST: Final = (0, BEGINNING)
"""Where looking through begins: the number of a table, and the rowid before the next row."""
ALARM_US: Final = 30 * 86_400 * SECOND_US
"""How long damage that was found is an alarm: a month to replace a disk."""

_log = structlog.get_logger()


class Restorer:
    """Watches what is set aside."""

    def __init__(self, ground: Ground, sealer: Sealer) -> None:
        self._ground = ground
        self._sealer = sealer
        self._gone: list[Lost] = []

    async def run(self) -> None:
        """Look for ever."""
        ground = self._ground
        looked_at, asked_us, place, rested_us = 0, 0, FIRST, 0
        while True:
            if place != FIRST or ground.clock.monotonic_us() >= rested_us:
                place = await ground.commit(Lane.BULK, partial(_look_through, place=place))
                rested_us = ground.clock.monotonic_us() + REST_US
            damage = await ground.store.read(partial(read_damage, since_us=ground.clock.now_us() - ALARM_US))
            now_us = ground.clock.monotonic_us()
            if damage.of_inbox and (damage.total > looked_at or now_us - asked_us >= ASK_AGAIN_US):
                await self._ask()
                await self._forget()
                asked_us = now_us
            if damage.of_sent and damage.total > looked_at:
                await self._rebuild()
            if damage.total > looked_at:
                # Rot seldom comes alone.
                rested_us = 0
            looked_at = damage.total
            self._sound(damage)
            await asyncio.sleep(TURN_S)

    async def _rebuild(self) -> None:
        """Rows about messages that this office sent are made again from the others; what lacks words then ends."""
        ground = self._ground
        keeping = keeping_of(ground.settings.retention)
        place: Place | None = Place()
        while place is not None:
            since_us = ground.clock.now_us() - keeping.evidence_us
            found, place = await ground.store.read(partial(remains.incomplete, place=place, since_us=since_us))
            for message_id, office in found:
                _log.error("message_rebuilt", message_id=message_id.hex(), recipient=office.hex())
                address, me = ground.address_of(office), ground.identity.office
                change = partial(remains.rebuild, message_id=message_id, office=office, address=address, me=me)
                said, copies = await ground.commit(Lane.ROUTINE, change)
                ground.news.publish(said)
                ground.load(copies, ())
        ground.kick()
        await self._sealer.load()

    def _sound(self, damage: Damage) -> None:
        alarms = self._ground.alarms
        if damage.recent:
            tables = ", ".join(damage.tables)
            said = [f"{damage.recent} rows of {tables}, {damage.mended} of them mended", "see relay fsck"]
            if self._gone:
                # Whoever reads this can only ask the sender, who knows the message by its id.
                named = ", ".join(map(self._name, self._gone[:NAMED]))
                said.append(f"{len(self._gone)} received messages cannot be sent again: {named}")
            alarms.sound("DAMAGED_ROWS", self._ground.clock.now_us(), "; ".join(said))
        else:
            alarms.clear("DAMAGED_ROWS")

    def _name(self, one: Lost) -> str:
        return f"{message_id_text(one.message_id)} from {self._ground.address_of(one.sender)}"

    async def _ask(self) -> None:
        """Senders are asked, signed, to send again what was delivered here and cannot be read any more."""
        ground = self._ground
        missing = await ground.store.read(partial(lost.delivered, limit=LOST_AT_ONCE))
        self._gone = await ground.store.read(partial(lost.gone, limit=LOST_AT_ONCE))
        for one in missing:
            _log.error("message_asked_again", message_id=one.message_id.hex(), sender=one.sender.hex())
            request = self._request(one)
            ground.hold(await ground.commit(one.lane, partial(_hold_request, request=request)))
        ground.kick()

    async def _forget(self) -> None:
        """What is left of damaged messages ends with the memory of messages: retention finds these by their rows."""
        ground = self._ground
        before_us = ground.clock.now_us() - keeping_of(ground.settings.retention).longest_us
        found = await ground.store.read(partial(lost.over, before_us=before_us, limit=LOST_AT_ONCE))
        for sender, message_id in found:
            change = partial(lost.forget, sender=sender, message_id=message_id, before_us=before_us)
            await ground.commit(Lane.BULK, change)

    def _request(self, one: Lost) -> Held:
        ground = self._ground
        now_us = ground.clock.now_us()
        receipt = Receipt(
            network=ground.directory.network_id,
            type="custody_lost",
            id=one.message_id,
            by=ground.identity.office,
            recipient=ground.identity.office,
            to=one.sender,
            digest=one.digest,
            at_us=now_us,
            lane=one.lane,
            expires_us=receipt_expiry_us(one.expires_us, now_us),
            code="DAMAGED",
        )
        return make_receipt(ground.identity, receipt)


def _look_through(txn: Txn, place: tuple[int, int]) -> tuple[int, int]:
    """Open the next rows, table by table, so that damage is found while it can be mended; where to go on.

    After the last row that is `FIRST`.
    """
    (at, rowid), left = place, LOOKED_THROUGH
    while at < len(ALL):
        looked_at, rowid = ALL[at].look_through(txn, rowid, left)
        left -= looked_at
        if left == 0:
            return at, rowid
        at, rowid = at + 1, BEGINNING
    return FIRST


def _hold_request(txn: Txn, request: Held) -> list[Held]:
    """Into our custody, unless a receipt about the same message has not left yet: its sender knows too little then."""
    parcel = request.parcel
    return [] if held.is_answered(txn, parcel.message_id, parcel.recipient) else held.hold(txn, [request])
