"""What an office tells its neighbours beside messages, and what they tell us: presence, prekeys, trust (D2, D7-D9).

All of it is signed, retained and only republished after verification; none of it is believed for its topic.
"""

import asyncio
from functools import partial
from typing import Final

import structlog

from keys.prekeys import supersedes, verify_prekey
from keys.signing import PRESENCE, sign_record
from keys.trust.store import TrustStore, UpdateResult
from keys.verify import VerifiedPresence, VerifiedWitness, verify_presence
from protocol.errors import RemoteError
from protocol.ids import Address, Digest, OfficeId
from protocol.lanes import Lane
from protocol.presence import Presence, encode_presence, is_newer
from protocol.topics import PrekeyTopic, PresenceTopic, TrustTopic, prekey_topic, presence_topic, trust_topic
from protocol.witness import Shown
from relay.audit.notes import RELAY
from relay.forks import Forks
from relay.ground import Ground
from relay.home import Home
from relay.mqtt import Will
from relay.neighbours import Neighbours
from relay.offers import Offers
from relay.ports import Arrived, LinkChanged, Transport
from relay.sealer import Sealer
from relay.store import prekeys

SETTLE_S: Final = 0.3
"""Trust files come one by one; this long after the last one they are looked at together."""
OUTDATED: Final = frozenset({"STALE", "EXPIRED"})
"""A retained prekey that its office has replaced since."""

_log = structlog.get_logger()


class Beacon:
    """Presence, prekeys and trust of this office and of its neighbours."""

    def __init__(
        self, ground: Ground, trust_store: TrustStore, sealer: Sealer, home: Home, neighbours: Neighbours
    ) -> None:
        self._ground = ground
        self._trust_store = trust_store
        self._sealer = sealer
        self._home = home
        self._neighbours = neighbours
        self._forks = Forks(ground)
        self._sessions = ground.identity.boot << 20
        self._session_of: dict[tuple[str, str], int] = {}
        self._up: set[tuple[str, str]] = set()
        self._known: dict[tuple[OfficeId, str, str], VerifiedPresence] = {}
        self._online: dict[OfficeId, set[tuple[str, str]]] = {}
        self._offers = Offers()
        self._offered_event = asyncio.Event()
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> None:
        """The transport that publishes; it needs our wills first, so it comes second."""
        self._transport = transport

    # What we say.

    def will_for(self, broker: str, group: str) -> Will:
        """The will of a new connection: the same session, offline."""
        self._sessions += 1
        self._session_of[broker, group] = self._sessions
        topic = presence_topic(self._ground.me.address, group)
        return Will(topic, self._presence(group, self._sessions, online=False), retain=True)

    async def on_link(self, changed: LinkChanged) -> None:
        """A connection came up or went down."""
        ground = self._ground
        key = (changed.broker, changed.group)
        if changed.taken_over:
            self._home.suspect_clone(changed.broker)
        (self._up.add if changed.up else self._up.discard)(key)
        ground.connected = bool(self._up)
        ground.outbox.set_link(changed.broker, changed.group, changed.up, ground.clock.monotonic_us())
        if changed.up:
            session = self._session_of.get(key, self._sessions)
            await self._publish(
                changed.broker, changed.group, presence_topic(ground.me.address, changed.group),
                self._presence(changed.group, session, online=True),
            )  # fmt: skip
            if changed.group == "slow":
                await self._publish_known(changed.broker)
        else:
            self._forget_broker(changed.broker, changed.group)
        ground.kick()

    async def tell_again(self) -> None:
        """Tell neighbours for ever how far the audit log is, when it grew: what they remember cannot be cut here."""
        told = self._ground.audit.mark
        while True:
            await asyncio.sleep(self._ground.settings.audit.tell_s)
            if self._ground.audit.mark == told:
                continue
            told = self._ground.audit.mark
            topic = presence_topic(self._ground.me.address, "slow")
            for broker, group in sorted(self._up):
                if group == "slow":
                    session = self._session_of[broker, group]
                    await self._publish(broker, group, topic, self._presence(group, session, online=True))

    async def say_goodbye(self) -> None:
        """Before a planned stop: neighbours need not wait for our will."""
        for broker, group in sorted(self._up):
            topic = presence_topic(self._ground.me.address, group)
            await self._publish(
                broker, group, topic, self._presence(group, self._session_of[broker, group], online=False)
            )

    def _presence(self, group: str, session: int, *, online: bool) -> bytes:
        ground = self._ground
        presence = Presence(
            network=ground.directory.network_id,
            office=ground.identity.office,
            group=group,
            online=online,
            moment=ground.moment(),
            session=session,
            at_us=ground.clock.now_us(),
            trust_version=ground.trust.version,
            trust_digest=Digest(ground.trust.digest),
            audit_count=ground.audit.mark.count,
            audit_head=ground.audit.mark.head,
        )
        return sign_record(ground.identity.key, PRESENCE, encode_presence(presence))

    async def _publish(self, broker: str, group: str, topic: str, data: bytes) -> None:
        if self._transport is not None:
            await self._transport.publish(broker, group, topic, data, retain=True)

    async def _publish_known(self, broker: str) -> None:
        """Our prekey; and where we join brokers or have offices below us, what we verified of others."""
        ground = self._ground
        me = ground.me.address
        if ground.keyring.own_record is not None:
            await self._publish(broker, "slow", prekey_topic(me, me), ground.keyring.own_record.data)
        if self._joins_brokers():
            for office, record in tuple(ground.keyring.records.items()):
                if office != ground.identity.office:
                    topic = prekey_topic(me, Address(ground.address_of(office)))
                    await self._publish(broker, "slow", topic, record.data)
        if self._joins_brokers() or self._is_superior():
            for name, data in self._trust_store.publishable_files().items():
                await self._publish(broker, "slow", trust_topic(me, name), data)

    def _joins_brokers(self) -> bool:
        return len(self._ground.settings.brokers) > 1

    def _is_superior(self) -> bool:
        me = self._ground.identity.office
        return any(office.parent == me for office in self._ground.directory.offices.values())

    # What we hear.

    async def on_presence(self, arrived: Arrived, topic: PresenceTopic) -> None:
        """A neighbour's presence: a hint for the outbox, so an old one is merely ignored. Raises `RemoteError`."""
        ground = self._ground
        if not arrived.payload:
            return
        verified = verify_presence(arrived.payload, topic, ground.directory, ground.clock.now_us())
        presence = verified.presence
        if presence.office == ground.identity.office:
            # First our life is judged: of a restored home the log may be shorter than it once was.
            await self._home.hear(VerifiedWitness(presence.moment, presence.at_us), f"broker {arrived.broker}")
            ground.audit.hear(presence, arrived.payload, f"broker {arrived.broker}")
            return
        ground.audit.hear(presence, arrived.payload, f"broker {arrived.broker}")
        self._neighbours.hear(presence.office, Shown(presence.moment, verified.record, verified.key_id))
        key = (presence.office, presence.group, arrived.broker)
        known = self._known.get(key)
        if known is not None and verified != known and not self._replaces(verified, known):
            return
        self._known[key] = verified
        self._forks.compare(presence)
        if presence.online and not arrived.retained and presence.office not in ground.suspended():
            ground.witnesses.hear(presence.office, presence.at_us, (), ground.clock.monotonic_us())
        online = self._online.setdefault(presence.office, set())
        (online.add if presence.online else online.discard)((presence.group, arrived.broker))
        ground.outbox.set_present(presence.office, bool(online), ground.clock.monotonic_us())
        ground.kick()

    def _replaces(self, one: VerifiedPresence, known: VerifiedPresence) -> bool:
        """Whether it is newer than what is known, or what is known was signed by a key that counts no more."""
        ground = self._ground
        return is_newer(one.presence, known.presence) or not ground.directory.has_key(
            known.presence.office, known.key_id, ground.clock.now_us()
        )

    def _forget_broker(self, broker: str, group: str) -> None:
        """Without a connection we know nothing of who is there."""
        for office, online in self._online.items():
            if (group, broker) in online:
                online.discard((group, broker))
                self._ground.outbox.set_present(office, bool(online), self._ground.clock.monotonic_us())

    async def on_prekey(self, arrived: Arrived, topic: PrekeyTopic) -> None:
        """An office's prekey, by whomever published. Raises `RemoteError`."""
        office = self._ground.directory.by_address(topic.office)
        others = office is not None and office.id not in {self._ground.identity.office, *self._ground.suspended()}
        if arrived.payload and office is not None and others:
            try:
                await self.take_prekey(arrived.payload, office.id)
            except RemoteError as error:
                # Others publish what they know; that we know more is no fault of theirs.
                if error.code not in OUTDATED:
                    raise

    async def take_prekey(self, data: bytes, of: OfficeId | None = None) -> None:
        """Keep a prekey record if it is newer; what waited for it is sealed. Raises `RemoteError`."""
        ground = self._ground
        held = None if of is None else ground.keyring.records.get(of)
        if held is not None and held.data == data:
            return
        directory, now_us = ground.directory, ground.clock.now_us()
        record = await ground.offload.run(partial(verify_prekey, data, directory, now_us), 1)
        if of is not None and record.office_id != of:
            raise RemoteError("WRONG_TOPIC", "a prekey of another office than the topic says")
        if not supersedes(record, ground.keyring.records.get(record.office_id)):
            return
        keep = partial(prekeys.keep, office=record.office_id, epoch=record.epoch, record=record.data)
        await ground.commit(Lane.PRIORITY, keep)
        ground.keyring.take(record)
        ground.audit.add(RELAY, "prekey", office=record.office_id.hex(), epoch=record.epoch)
        await self._sealer.prekey_came(record.office_id)
        if self._joins_brokers():
            topic = prekey_topic(ground.me.address, Address(ground.address_of(record.office_id)))
            for broker, group in sorted(self._up):
                if group == "slow":
                    await self._publish(broker, "slow", topic, record.data)

    async def on_trust(self, arrived: Arrived, topic: TrustTopic) -> None:
        """A trust file of some publisher; looked at together with the others a moment later. Raises `RemoteError`."""
        if topic.publisher == self._ground.me.address or not arrived.payload:
            return
        known = self._ground.directory.by_address
        if self._offers.take(topic.publisher, topic.file, arrived.payload, lambda one: known(one) is not None):
            self._offered_event.set()

    async def run(self) -> None:
        """Look at offered trust for ever."""
        while True:
            await self._offered_event.wait()
            await asyncio.sleep(SETTLE_S)
            self._offered_event.clear()
            for publisher, files in self._offers:
                known = self._trust_store.publishable_files()
                if any(known.get(name) != data for name, data in files.items()):
                    await self._consider(publisher, files)

    async def _consider(self, publisher: Address, files: dict[str, bytes]) -> None:
        """Verify one publisher's files as a whole; take them if they are newer."""
        ground = self._ground
        result: UpdateResult = await ground.offload.run(
            partial(self._trust_store.update, files, ground.clock.now_us()), len(files)
        )
        if result.code is not None:
            _log.warning("trust_not_taken", publisher=publisher, code=result.code)
        if not result.changed:
            return
        ground.take_trust(result.trust)
        self._forks.begin_again(known.presence for known in self._known.values())
        _log.info("trust_taken", version=result.trust.version, publisher=publisher)
        ground.audit.add(RELAY, "trust", version=result.trust.version, publisher=publisher)
        for broker, group in sorted(self._up):
            if group == "slow":
                await self._publish_known(broker)
        ground.kick()

    def peers(self) -> dict[str, list[str]]:
        """Per broker, the addresses of neighbours that say they are there."""
        found: dict[str, set[str]] = {}
        for office, online in self._online.items():
            for _, broker in online:
                found.setdefault(broker, set()).add(self._ground.address_of(office))
        return {broker: sorted(addresses) for broker, addresses in found.items()}
