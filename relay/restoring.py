"""What is done about damaged rows beyond setting them aside: an alarm, and messages asked for again (D10, SPEC M45)."""

import asyncio
from functools import partial
from typing import Final

import structlog

from protocol.limits import SECOND_US
from protocol.receipt import Receipt
from relay.ground import Ground
from relay.receipting import make_receipt, receipt_expiry_us
from relay.store import held, lost
from relay.store.damage import Damage, read_damage
from relay.store.database import Txn
from relay.store.held import Held
from relay.store.lost import Lost

TURN_S: Final = 10.0
"""How often it is looked whether more rows were found damaged."""
ASK_AGAIN_US: Final = 3_600 * SECOND_US
"""A sender that is away answers when it is back; until then nobody asks more than once an hour."""
LOST_AT_ONCE: Final = 200
"""Most messages asked for in one turn."""
ALARM_US: Final = 30 * 86_400 * SECOND_US
"""How long damage that was found is an alarm: a month to replace a disk."""

_log = structlog.get_logger()


class Restorer:
    """Watches what is set aside."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def run(self) -> None:
        """Look for ever."""
        ground = self._ground
        looked_at, asked_us = 0, 0
        while True:
            damage = await ground.store.read(partial(read_damage, since_us=ground.clock.now_us() - ALARM_US))
            self._sound(damage)
            now_us = ground.clock.monotonic_us()
            if damage.of_inbox and (damage.total > looked_at or now_us - asked_us >= ASK_AGAIN_US):
                await self._ask()
                asked_us = now_us
            looked_at = damage.total
            await asyncio.sleep(TURN_S)

    def _sound(self, damage: Damage) -> None:
        alarms = self._ground.alarms
        if damage.recent:
            tables = ", ".join(damage.tables)
            detail = f"{damage.recent} rows of {tables}, {damage.mended} of them mended; see relay fsck"
            alarms.sound("DAMAGED_ROWS", self._ground.clock.now_us(), detail)
        else:
            alarms.clear("DAMAGED_ROWS")

    async def _ask(self) -> None:
        """Senders are asked, signed, to send again what was delivered here and cannot be read any more."""
        ground = self._ground
        missing = await ground.store.read(partial(lost.delivered, limit=LOST_AT_ONCE))
        for one in missing:
            _log.error("message_asked_again", message_id=one.message_id.hex(), sender=one.sender.hex())
            request = self._request(one)
            ground.hold(await ground.commit(one.lane, partial(_hold_request, request=request)))
        ground.kick()

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


def _hold_request(txn: Txn, request: Held) -> list[Held]:
    """Into our custody, unless a receipt about the same message has not left yet: its sender knows too little then."""
    parcel = request.parcel
    return [] if held.is_answered(txn, parcel.message_id, parcel.recipient) else held.hold(txn, [request])
