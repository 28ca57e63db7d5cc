"""What an office tells its neighbours beside messages, and what they tell us: presence and prekeys (D2, D7, D9).

All of it is signed, retained and only republished after verification; none of it is believed for its topic.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from keys.prekeys import supersedes, verify_prekey
from keys.signing import PRESENCE, sign_record
from keys.verify import VerifiedPresence, VerifiedWitness, verify_presence
from protocol.errors import RemoteError
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.presence import Presence, encode_presence, is_newer
from protocol.topics import PrekeyTopic, PresenceTopic, own_records, prekey_topic, presence_topic
from protocol.witness import Shown
from relay.audit.notes import RELAY
from relay.forks import Forks
from relay.ground import Ground
from relay.home import Home
from relay.mqtt import Will
from relay.neighbours import Neighbours
from relay.ports import Arrived, LinkChanged, Transport
from relay.renewal import Renewal
from relay.sealer import Sealer
from relay.store import prekeys

NAMED_AT_ONCE: Final = 100
"""So many records are asked for by name in one packet: some 4 KiB."""
CHANGES_MAX: Final = 20
"""Most comings and goings of a neighbour that are followed in a minute: each makes the outbox choose all its ways
again, 12 ms for a full window, and an office that signs them as fast as it can must not take all our time (G13)."""
CALM_US: Final = 60 * SECOND_US
OUTDATED: Final = frozenset({"STALE", "EXPIRED"})
"""A retained prekey that its office has replaced since."""

_log = structlog.get_logger()


class Beacon:
    """Presence and prekeys of this office and of its neighbours."""

    def __init__(self, ground: Ground, sealer: Sealer, home: Home, neighbours: Neighbours, renewal: Renewal) -> None:
        self._ground = ground
        self._sealer = sealer
        self._home = home
        self._neighbours = neighbours
        self.forks = Forks(ground)
        self._sessions = ground.identity.boot << 20
        self._session_of: dict[tuple[str, str], int] = {}
        self._up: set[tuple[str, str]] = set()
        self._known: dict[tuple[OfficeId, str, str], VerifiedPresence] = {}
        self._online: dict[OfficeId, set[tuple[str, str]]] = {}
        self._changes: dict[OfficeId, tuple[int, int]] = {}
        self._unfollowed: set[OfficeId] = set()
        self._renewal = renewal
        self.on_newer: Callable[[], None] | None = None
        """Is told when a neighbour says that it has a newer directory."""
        ground.trust_takers.append(self._compare_again)
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> None:
        """The transport that publishes; it needs our wills first, so it comes second."""
        self._transport = transport

    # What we say.

    def will_for(self, broker: str, group: str) -> Will:
        """The will of a new connection: the same session, offline."""
        self._sessions += 1
        self._session_of[broker, group] = self._sessions
        topic = presence_topic(self._ground.me.call_sign, group)
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
                changed.broker, changed.group, presence_topic(ground.me.call_sign, changed.group),
                self._presence(changed.group, session, online=True),
            )  # fmt: skip
            if changed.group == "slow":
                await self._publish_prekeys(changed.broker)
                await self._ask_by_name(changed.broker)
        else:
            self._forget_broker(changed.broker, changed.group)
        ground.kick()

    async def _ask_by_name(self, broker: str) -> None:
        """RabbitMQ sends none of what it retains for a wildcard: there every neighbour's records are named."""
        ground = self._ground
        engines = {one.id: one.engine for one in ground.settings.brokers}
        if engines.get(broker) != "rabbitmq" or self._transport is None:
            return
        shared = ground.directory.neighbours(ground.identity.office)
        near = [ground.directory.offices[office].call_sign for office, brokers in shared.items() if broker in brokers]
        wanted = [topic for office in sorted(near) for topic in own_records(office)]
        for start in range(0, len(wanted), NAMED_AT_ONCE):
            await self._transport.subscribe(broker, "slow", wanted[start : start + NAMED_AT_ONCE])

    async def tell_again(self) -> None:
        """Tell neighbours for ever how far the audit log is, when it grew: what they remember cannot be cut here."""
        told = self._ground.audit.mark
        while True:
            await asyncio.sleep(self._ground.settings.audit.tell_s)
            if self._ground.audit.mark == told:
                continue
            told = self._ground.audit.mark
            topic = presence_topic(self._ground.me.call_sign, "slow")
            for broker, group in sorted(self._up):
                if group == "slow":
                    session = self._session_of[broker, group]
                    await self._publish(broker, group, topic, self._presence(group, session, online=True))

    async def say_goodbye(self) -> None:
        """Before a planned stop: neighbours need not wait for our will."""
        for broker, group in sorted(self._up):
            topic = presence_topic(self._ground.me.call_sign, group)
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

    async def _publish_prekeys(self, broker: str) -> None:
        """Ours; and where we join brokers, those that we verified of others."""
        ground = self._ground
        me = ground.me.call_sign
        await self._publish_own(broker)
        if self._joins_brokers():
            for office, record in tuple(ground.keyring.records.items()):
                if office != ground.identity.office:
                    topic = prekey_topic(me, ground.call_sign_of(office))
                    await self._publish(broker, "slow", topic, record.data)

    async def publish_own_prekey(self) -> None:
        """Our newest prekey, to every broker."""
        for broker, group in sorted(self._up):
            if group == "slow":
                await self._publish_own(broker)

    async def _publish_own(self, broker: str) -> None:
        me, own = self._ground.me.call_sign, self._ground.keyring.own_record
        if own is not None:
            await self._publish(broker, "slow", prekey_topic(me, me), own.data)

    def _joins_brokers(self) -> bool:
        return len(self._ground.settings.brokers) > 1

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
        self.forks.compare(presence)
        if presence.trust_version > ground.trust.version and self.on_newer is not None:
            self.on_newer()
        if presence.online and not arrived.retained and presence.office not in ground.suspended():
            ground.witnesses.hear(presence.office, presence.at_us, (), ground.clock.monotonic_us())
        online = self._online.setdefault(presence.office, set())
        (online.add if presence.online else online.discard)((presence.group, arrived.broker))
        self._follow(presence.office, present=bool(online))

    def _follow(self, office: OfficeId, *, present: bool) -> None:
        """Tell the outbox; not of one that comes and goes all the time, for it is only a hint."""
        ground = self._ground
        now_us = ground.clock.monotonic_us()
        since_us, changes = self._changes.get(office, (now_us, 0))
        if now_us - since_us >= CALM_US:
            since_us, changes = now_us, 0
        if changes < CHANGES_MAX:
            changes += ground.outbox.set_present(office, present, now_us)
            self._changes[office] = since_us, changes
            ground.kick()
        elif office not in self._unfollowed:
            self._unfollowed.add(office)
            ground.spawn(self._catch_up(office, since_us + CALM_US - now_us))

    async def _catch_up(self, office: OfficeId, wait_us: int) -> None:
        """Whether it is there in the end counts, also if it says nothing more."""
        await asyncio.sleep(wait_us / SECOND_US)
        self._unfollowed.discard(office)
        self._follow(office, present=bool(self._online.get(office)))

    def _replaces(self, one: VerifiedPresence, known: VerifiedPresence) -> bool:
        """Whether it is newer than what is known, or what is known was signed by a key that counts no more."""
        ground = self._ground
        return is_newer(one.presence, known.presence) or not ground.directory.has_key(
            known.presence.office, known.key_id, ground.clock.now_us()
        )

    def _compare_again(self) -> None:
        """Another directory is in force."""
        self.forks.begin_again(known.presence for known in self._known.values())

    def _forget_broker(self, broker: str, group: str) -> None:
        """Without a connection we know nothing of who is there."""
        for office, online in self._online.items():
            if (group, broker) in online:
                online.discard((group, broker))
                self._ground.outbox.set_present(office, bool(online), self._ground.clock.monotonic_us())

    async def on_prekey(self, arrived: Arrived, topic: PrekeyTopic) -> None:
        """An office's prekey, by whomever published. Raises `RemoteError`."""
        ground = self._ground
        office = ground.directory.by_address(topic.office)
        if not arrived.payload or office is None or office.id in ground.suspended():
            return
        try:
            # The connection may end meanwhile: what was kept must be acted upon.
            if office.id == ground.identity.office:
                await ground.finish(self._renewal.hear(arrived.payload))
            else:
                await ground.finish(self.take_prekey(arrived.payload, office.id))
        except RemoteError as error:
            if topic.publisher == topic.office and error.code in ("STALE", "ID_REUSED"):
                await self._show_newer(office.id, arrived.broker)
            # Others publish what they know; that we know more is no fault of theirs.
            if error.code not in OUTDATED:
                raise

    async def _show_newer(self, office: OfficeId, broker: str) -> None:
        """An office offers an older prekey than it has used: it was restored, and cannot know until it is shown."""
        held = self._ground.keyring.records.get(office)
        if held is not None:
            topic = prekey_topic(self._ground.me.call_sign, self._ground.call_sign_of(office))
            await self._publish(broker, "slow", topic, held.data)

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
        before = ground.keyring.records.get(record.office_id)
        if not supersedes(record, before):
            return
        if before is not None and before.not_after_us <= now_us:
            # Before the new one is kept: interrupted, it comes again, and what is left is given up then.
            await self._sealer.prekey_ended(record.office_id)
        await ground.commit(Lane.PRIORITY, partial(prekeys.keep, record=record))
        newest = ground.keyring.records.get(record.office_id)
        if newest is not None and newest.rank >= record.rank:
            # Another broker brought a later one meanwhile.
            return
        ground.keyring.take(record)
        ground.audit.add(RELAY, "prekey", office=record.office_id.hex(), epoch=record.epoch)
        await self._sealer.prekey_came(record.office_id)
        if self._joins_brokers():
            topic = prekey_topic(ground.me.call_sign, ground.call_sign_of(record.office_id))
            for broker, group in sorted(self._up):
                if group == "slow":
                    await self._publish(broker, "slow", topic, record.data)

    def peers(self) -> dict[str, list[str]]:
        """Per broker, the addresses of neighbours that say they are there."""
        found: dict[str, set[str]] = {}
        for office, online in self._online.items():
            for _, broker in online:
                found.setdefault(broker, set()).add(self._ground.address_of(office))
        return {broker: sorted(addresses) for broker, addresses in found.items()}
