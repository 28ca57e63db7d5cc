"""Our own prekeys: the next one in time, the old ones deleted in time (D7, G11).

Whoever steals a disk gets the private halves that lie on it, and with them whatever was sealed to those and is still
captured somewhere. So none stays longer than messages sealed to it may live. Recorded before it is published: to what
was published others seal at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from keys.prekeys import PrekeyRecord, make_prekey, verify_own, verify_prekey
from keys.primitives import PREKEY_SEED_BYTES, PrekeyPrivate, suite_for
from protocol.errors import Refused, RemoteError
from protocol.ids import KeyId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.audit.notes import RELAY
from relay.ground import Ground
from relay.store import prekeys

HALF: Final = 2
"""Whatever `renew_s` says, a prekey is renewed when half of its validity is over: who is offline then has the rest."""

_log = structlog.get_logger()


class Renewal:
    """Makes, keeps and forgets the prekeys of this office; `publish` tells every broker of the newest."""

    def __init__(self, ground: Ground, publish: Callable[[], Awaitable[None]]) -> None:
        self._ground = ground
        self._publish = publish
        self._changing = asyncio.Lock()
        self._wanted = asyncio.Event()
        ground.trust_takers.append(self.want)

    async def run(self) -> None:
        """Look for ever. The time is the believed one: a clock that jumps deletes nothing (D12)."""
        while True:
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ground.settings.prekeys.look_s):
                    await self._wanted.wait()
            self._wanted.clear()

    async def look(self) -> None:
        """Renew if it is time, then forget what is due: never the other way round."""
        if self._is_due():
            await self.renew()
        await self._forget()

    def want(self) -> None:
        """What a prekey depends on has changed: directory or signing key."""
        self._wanted.set()

    async def renew(self) -> PrekeyRecord | None:
        """The next prekey, recorded and then published; None when no office would take one of us now."""
        async with self._changing:
            made = await self._make()
            if made is not None:
                await self._keep(*made)
        if made is None:
            return None
        await self._publish()
        return made[0]

    async def hear(self, data: bytes) -> None:
        """A prekey of ours that somebody else holds. Of one that we do not know, the home was restored or cloned: then
        epochs go on above it, since nobody takes a lower one (SPEC M52). Raises `RemoteError`.
        """
        ground = self._ground
        own = ground.keyring.own_record
        if own is not None and data == own.data:
            return
        record = await ground.offload.run(partial(verify_own, data, ground.directory, ground.clock.now_us()), 1)
        if record.office_id != ground.identity.office or record.prekey_id in ground.keyring.own:
            return
        async with self._changing:
            known = await ground.store.read(prekeys.own_epoch)
            if record.epoch < known or (own is not None and record.epoch < own.epoch):
                return
            _log.warning("prekey_unknown", epoch=record.epoch)
            await ground.commit(Lane.PRIORITY, partial(prekeys.hear_own_epoch, epoch=record.epoch))
        await self.renew()

    def _is_due(self) -> bool:
        """Whether the newest one is old, or is none that others take: of an old key or suite."""
        ground, settings = self._ground, self._ground.settings.prekeys
        own, now_us = ground.keyring.own_record, ground.clock.now_us()
        renew_us = min(round(settings.renew_s * SECOND_US), round(settings.valid_s * SECOND_US) // HALF)
        if own is None or own.renewal_due(now_us, renew_us) or not self._is_signed_by_us(own):
            return True
        try:
            verify_prekey(own.data, ground.directory, now_us)
        except RemoteError:
            return True
        return False

    def _is_signed_by_us(self, own: PrekeyRecord) -> bool:
        """Whether it is by the keys in force: one by keys that were rotated ends with them."""
        identity = self._ground.identity
        second = None if identity.second is None else identity.second.public()
        return (own.signer, own.second) == (identity.key.key_id(), second)

    async def _make(self) -> tuple[PrekeyRecord, bytes] | None:
        """A new record and its private seed."""
        ground = self._ground
        suite = suite_for(ground.identity.key.suite, ground.directory.rules.suites)
        if suite is None:
            _log.error("prekey_not_made", code="BAD_SUITE")
            return None
        seed, now_us = ground.entropy.bytes(PREKEY_SEED_BYTES), ground.clock.now_us()
        make = partial(
            make_prekey, ground.identity.key, network_id=ground.directory.network_id, office_id=ground.identity.office,
            suite=suite, seed=seed, now_us=now_us, second=ground.identity.second, previous=ground.keyring.own_record,
            valid_us=round(ground.settings.prekeys.valid_s * SECOND_US),
            epoch_seen=await ground.store.read(prekeys.own_epoch),
        )  # fmt: skip
        record = await ground.offload.run(make, 1)
        try:
            verify_prekey(record.data, ground.directory, now_us)
        except RemoteError as error:
            # Revoked, or the directory has another second key: looked at again, and said by `doctor` meanwhile.
            _log.error("prekey_not_made", code=error.code, detail=error.detail)
            return None
        return record, seed

    async def _keep(self, record: PrekeyRecord, seed: bytes) -> None:
        ground = self._ground
        forget_us = record.not_after_us + round(ground.settings.prekeys.keep_s * SECOND_US)
        keep = partial(
            prekeys.keep_own, prekey_id=record.prekey_id, epoch=record.epoch, forget_us=forget_us, seed=seed,
            record=record.data,
        )  # fmt: skip
        await ground.commit(Lane.PRIORITY, keep)
        ground.keyring.keep_own(record, PrekeyPrivate(record.suite, seed))
        ground.audit.add(RELAY, "own_prekey", epoch=record.epoch)
        _log.info("prekey_renewed", epoch=record.epoch)

    async def _forget(self) -> None:
        """Delete private halves whose time has come. A full disk makes no difference: what is deleted needs no room."""
        ground = self._ground
        try:
            gone = await ground.store.write(Lane.BULK, prekeys.forget_own)
        except Refused as refused:
            _log.warning("prekeys_not_forgotten", code=refused.code)
            return
        for prekey_id in gone:
            ground.keyring.own.pop(KeyId(prekey_id), None)
            ground.audit.add(RELAY, "prekey_forgotten", prekey=prekey_id.hex())
