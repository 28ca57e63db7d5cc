"""Keys that were rotated are taken up by the running relay: no restart, and no message lost (D7, issue of renewal).

A new signing key is used once our directory names it, and a while later, so that our neighbours have that directory
too; what they could not verify they would ask for again. Our old signatures go on verifying, since the directory keeps
the old key. A new TLS certificate is used by making every connection anew.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from keys.enrol.rotation import adopt, key_in_place, waiting_key
from keys.files.private_files import KeyFileError
from keys.mldsa import MLDSA, SecondKey
from keys.roster.directory import Directory
from keys.signer import Signer
from keys.trust.store import Trust
from protocol.errors import Refused
from protocol.ids import KeyId, OfficeId
from protocol.limits import SECOND_US
from relay.audit.notes import RELAY
from relay.ground import Ground

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeyHome:
    """Where our keys lie, and how what signs for us is opened again."""

    home: Path
    open: Callable[[Trust], tuple[Signer, SecondKey | None]]


def named_keys(directory: Directory, office: OfficeId, now_us: int) -> frozenset[KeyId]:
    """The ids of the office's signing keys that are valid now."""
    record = directory.by_id(office)
    keys = () if record is None else record.keys
    return frozenset(key.key_id for key in keys if key.suite != MLDSA and key.valid_at(now_us))


class Rotation:
    """Looks after HOME/keys while the relay runs. `renew` makes every connection anew."""

    def __init__(self, ground: Ground, keys: KeyHome, renew: Callable[[], None], changed: Callable[[], None]) -> None:
        """`changed` is told when the relay signs with another key."""
        self._ground = ground
        self._keys = keys
        self._renew = renew
        self._changed = changed
        self._awake = asyncio.Event()
        self._named_since_us: int | None = None
        self._certificate = self._certificate_seen()
        ground.trust_takers.append(self._awake.set)

    async def run(self) -> None:
        """Look for ever. What cannot be read now is looked at again: the keys in memory go on."""
        while True:
            try:
                await self.look()
            except (KeyFileError, Refused, OSError) as error:
                _log.warning("keys_not_taken_up", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ground.settings.prekeys.look_s):
                    await self._awake.wait()
            self._awake.clear()

    async def look(self) -> None:
        """Take up what is new. Raises `KeyFileError`, `Refused`, `OSError`."""
        await self._look_at_signing_keys()
        seen = self._certificate_seen()
        if seen is not None and seen != self._certificate:
            self._certificate = seen
            _log.info("certificate_taken_up")
            self._ground.audit.add(RELAY, "certificate")
            self._renew()

    async def _look_at_signing_keys(self) -> None:
        await self._adopt_when_named()
        # Asked of the file, since a disk may let us put a key in its place, and not let us open it at once.
        if await asyncio.to_thread(key_in_place, self._keys.home) != self._ground.identity.key.key_id():
            await self._take_up()

    async def _adopt_when_named(self) -> None:
        ground, home = self._ground, self._keys.home
        waiting = await asyncio.to_thread(waiting_key, home)
        now_us = ground.clock.now_us()
        named = named_keys(ground.directory, ground.identity.office, now_us)
        if waiting is None or waiting not in named:
            self._named_since_us = None
            return
        monotonic_us = ground.clock.monotonic_us()
        if self._named_since_us is None:
            self._named_since_us = monotonic_us
        if monotonic_us - self._named_since_us < ground.settings.trust.adopt_s * SECOND_US:
            return
        await asyncio.to_thread(adopt, home, named)

    async def _take_up(self) -> None:
        """Sign with the keys that are in their place."""
        ground = self._ground
        key, second = await asyncio.to_thread(self._keys.open, ground.trust)
        ground.identity = replace(ground.identity, key=key, second=second)
        ground.audit.add(RELAY, "identity", key=key.key_id().hex())
        _log.info("identity_taken_up", key=key.key_id().hex())
        self._changed()

    def _certificate_seen(self) -> tuple[int, int] | None:
        """What changes when the certificate does."""
        try:
            found = (self._keys.home / "keys" / "tls.pem").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
