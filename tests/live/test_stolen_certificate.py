"""What somebody can do who has an office's TLS key, or a certificate that no office owns: a row for each act (D8, D9).

The certificate opens the way to the broker and nothing else. Each act ends as the table says on every engine:

- REFUSED: nobody hears it, nothing is read, and everybody stays connected;
- CUT: an office's connection is thrown out and comes back, nothing is heard or read;
- OWN: it is heard, since it is said in the name of the certificate's own office. Relays judge it by its signature, also
  of those who may publish in every name (`tests/live/test_junk.py`);
- PUBLIC: it is read, since it is for every office: presence, prekeys and trust, all signed.
"""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keys.tls import subject_of
from protocol.ids import Address
from protocol.lanes import Lane
from protocol.topics import frame_topic, prekey_topic, presence_topic, trust_topic
from relay.brokers import mosquitto, nats
from relay.brokers.folder import update
from relay.brokers.site import PACKET_EXTRA_BYTES, PAYLOAD_BYTES_MAX, Site, write_argv
from relay.mqtt_socket import TlsFiles
from tests.live.intruder import Intruder
from tests.live.rabbit import IS_OLD, needs_rabbitmq
from tests.live.running import QUICK, Peer, RunningBroker, running, until

pytestmark = pytest.mark.live

COUNTY, PROVINCE, THIEF = Address("320924-GO"), Address("320000-GO"), Address("320900-GO")
OFFICES = (COUNTY, PROVINCE, THIEF)
SPARE = "spare"
REFUSED, CUT, OWN, PUBLIC = "refused", "cut", "own", "public"
READ, WIPED = "read", "wiped"  # never expected
SETTLE_S = 0.05
PATIENCE_S = 30.0
"""How long is waited for what must happen. What must not has `SETTLE_S` for each act, and is looked for at the end."""
CALM = replace(QUICK, keepalive_s=60, connect_s=PATIENCE_S, publish_s=PATIENCE_S)
"""A connection that is lost was cut, and not given up because the machine is busy."""

PRESENCE = presence_topic(COUNTY, "slow")
FRAME = frame_topic(PROVINCE, Lane.FLASH, COUNTY)
LANES = tuple(f"relay/1/{PROVINCE}/{lane.label}/+" for lane in Lane)


@dataclass(frozen=True, slots=True)
class Act:
    """What is tried with which certificate. The payload is the act's own; an empty one wipes a retained record."""

    what: str
    ends: str | dict[str, str]
    holder: str = THIEF
    publish: tuple[str, ...] = ()
    retain: bool = False
    wipe: bool = False
    size: int = 0
    subscribe: tuple[str, ...] = ()
    will: str | None = None
    client_id: str = "fast-intruder"
    name: str | None = None

    def ends_on(self, engine: str) -> str:
        """How it ends on an engine; REFUSED where the table names only others."""
        return self.ends if isinstance(self.ends, str) else self.ends.get(engine, REFUSED)


FILTERED = {"mosquitto": PUBLIC}
"""Mosquitto grants any subscription and asks the grants for each message instead."""

ACTS = (
    Act("a frame in its own name", OWN, publish=(frame_topic(PROVINCE, Lane.FLASH, THIEF),)),
    Act("a frame in another's name", REFUSED, publish=tuple(frame_topic(PROVINCE, lane, COUNTY) for lane in Lane)),
    Act("presence in another's name", REFUSED, publish=(PRESENCE, presence_topic(PROVINCE, "fast")), retain=True),
    Act("a prekey in another's name", REFUSED, publish=(prekey_topic(COUNTY, COUNTY),), retain=True),
    Act("another as publisher of its prekey", REFUSED, publish=(prekey_topic(COUNTY, THIEF),), retain=True),
    Act("trust in another's name", REFUSED, publish=(trust_topic(PROVINCE, "timestamp.json"),), retain=True),
    Act("wiping another's presence", REFUSED, publish=(PRESENCE,), retain=True, wipe=True),
    Act("a topic with dots", REFUSED, publish=(FRAME.replace("/", "."), "relay/1." + FRAME[8:], FRAME + "\n")),
    Act("a topic with wildcards", REFUSED, publish=(f"relay/1/{PROVINCE}/flash/+", f"relay/1/{PROVINCE}/#")),
    Act("inner topics of brokers", REFUSED, publish=("$SYS/x", "$MQTT/sub/x", "$JS/API/STREAM/DELETE/$MQTT_msgs")),
    Act("a will in another's name", REFUSED, will=PRESENCE),
    Act("a will as another's frame", REFUSED, will=FRAME),
    # RabbitMQ 3.10 knows no limit of size; what is too large for our connections makes them new (G13).
    Act("more than a broker takes", {"rabbitmq": CUT} if IS_OLD else REFUSED,
        publish=(frame_topic(PROVINCE, Lane.BULK, THIEF),), size=PAYLOAD_BYTES_MAX + PACKET_EXTRA_BYTES + 1),
    Act("reading another's lanes", REFUSED, subscribe=LANES),
    Act("reading everything", FILTERED, subscribe=("#", "relay/#", "+/+/+/+/+", "relay/1/+/flash/+", "relay/1/+/+/+")),
    Act("reading as a group", FILTERED, subscribe=tuple(f"$share/g/{text}" for text in (*LANES, "#"))),
    Act("reading inner topics of brokers", REFUSED, subscribe=("$SYS/#", "$MQTT/#", "$MQTT/sub/+", "$JS/#", "/#")),
    Act("reading presence", PUBLIC, subscribe=("relay/1/presence/+/+",)),
    Act("another's name in CONNECT", REFUSED, name=PROVINCE, publish=(frame_topic(COUNTY, Lane.FLASH, PROVINCE),)),
    Act("another's client id", CUT, client_id=f"fast-{COUNTY}-test", subscribe=LANES),
    Act("spare: a frame", REFUSED, SPARE, publish=(FRAME, f"relay/1/{PROVINCE}/flash/spare")),
    Act("spare: presence", REFUSED, SPARE, publish=(PRESENCE, "relay/1/presence/spare/fast"), retain=True),
    Act("spare: reading", REFUSED, SPARE, subscribe=("#", "relay/1/presence/+/+", "relay/1/spare/flash/+", *LANES)),
    Act("spare: another's name in CONNECT", REFUSED, SPARE, name=COUNTY, publish=(FRAME,)),
)  # fmt: skip


@dataclass(slots=True)
class Stage:
    """Two offices that talk, and whoever disturbs them."""

    broker: RunningBroker
    province: Peer
    county: Peer
    count: int = 0

    async def outcome(self, act: Act) -> str:
        """Try one act; how it ended."""
        self.count += 1
        mark = b"intruder-%d" % self.count
        frame, presence = b"frame-%d." % self.count, b"presence-%d." % self.count
        cuts = self._cuts()
        intruder = await Intruder.open(
            self.broker.port, self._files(act.holder), act.client_id, name=act.name,
            will=None if act.will is None else (act.will, mark),
        )  # fmt: skip
        for topic in act.subscribe:
            await intruder.subscribe(topic)
        for topic in act.publish:
            await intruder.publish(topic, b"" if act.wipe else mark + bytes(act.size), retain=act.retain)
        await asyncio.sleep(SETTLE_S)
        if act.will is not None:
            intruder.vanish()

        def found() -> str:
            if any(payload.startswith(mark) for payload in self.province.payloads() + self.county.payloads()):
                return OWN
            if frame in intruder.heard:
                return READ
            if presence in intruder.heard:
                return PUBLIC
            return REFUSED if self._cuts() == cuts else CUT

        expected = act.ends_on(self.broker.engine)
        if expected == CUT:
            await happens(lambda: self._cuts() > cuts)
        await self._talk(frame, presence)
        await happens(lambda: found() == expected)
        await intruder.close()
        return WIPED if act.wipe and not await self._is_retained(PRESENCE) else found()

    def _cuts(self) -> int:
        """Grows when an office loses its connection, and when it is back."""
        return len(self.province.changes) + len(self.county.changes)

    def marks_heard(self) -> set[int]:
        """The numbers of the acts whose payload an office has heard."""
        heard = self.province.payloads() + self.county.payloads()
        return {int(payload.rstrip(b"\0").split(b"-")[1]) for payload in heard if payload.startswith(b"intruder-")}

    async def _talk(self, frame: bytes, presence: bytes) -> None:
        """A frame and a presence of the county, which the province hears whatever was done before.

        They are said again only where a connection was lost meanwhile: a slow broker cuts one after we have begun.
        """
        cuts, topic = -1, frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)
        while not self._has_heard(frame, presence):
            assert self._cuts() != cuts, "the province did not hear the county, and nobody was cut off"
            await until(lambda: self.province.is_up() and self.county.is_up(), within_s=PATIENCE_S)
            cuts = self._cuts()
            sent = [
                await self.county.transport.publish("province", "slow", topic, frame),
                await self.county.transport.publish("province", "slow", PRESENCE, presence, retain=True),
            ]
            assert all(sent) or self._cuts() != cuts
            await happens(lambda cuts=cuts: self._has_heard(frame, presence) or self._cuts() != cuts)  # type: ignore[misc]
        await asyncio.sleep(SETTLE_S)

    def _has_heard(self, *payloads: bytes) -> bool:
        return set(payloads) <= set(self.province.payloads())

    async def _is_retained(self, topic: str) -> bool:
        """Whether a newcomer is told of the county's presence."""
        newcomer = await Intruder.open(self.broker.port, self._files(THIEF), "slow-newcomer")
        await newcomer.subscribe(topic)
        found = await happens(lambda: b"presence-" in newcomer.heard)
        await newcomer.close()
        return found

    def _files(self, holder: str) -> TlsFiles:
        folder = self.broker.folder
        if holder == SPARE:
            return TlsFiles(folder / "ca.pem", folder / "spare.pem", folder / "spare.key")
        return self.broker.files_of(Address(holder))


async def happens(condition: Callable[[], bool]) -> bool:
    """Whether it does; a slow machine has time for it."""
    with suppress(AssertionError):
        await until(condition, within_s=PATIENCE_S)
    return condition()


@pytest.fixture(params=["mosquitto", "nats", pytest.param("rabbitmq", marks=needs_rabbitmq)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running(tmp_path, request.param, OFFICES) as found:
        yield found


@pytest.mark.timeout(400)
def test_g10_g11_a_stolen_certificate_ends_as_the_table_says(broker: RunningBroker) -> None:
    async def story() -> dict[str, str]:
        async with (
            Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE), timing=CALM) as province,
            Peer(broker.settings, COUNTY, broker.files_of(COUNTY), timing=CALM) as county,
        ):
            await until(lambda: province.is_up() and county.is_up(), within_s=PATIENCE_S)
            stage = Stage(broker, province, county)
            found = {act.what: await stage.outcome(act) for act in ACTS}
            # What came late counts too.
            await asyncio.sleep(10 * SETTLE_S)
            late = stage.marks_heard()
            return found | {act.what: OWN for number, act in enumerate(ACTS, 1) if number in late}

    assert asyncio.run(story()) == {act.what: act.ends_on(broker.engine) for act in ACTS}


@pytest.mark.timeout(400)
def test_g11_a_known_client_id_opens_no_session_but_on_rabbitmq(broker: RunningBroker) -> None:
    """Should somebody know the secret in it. What RabbitMQ then hands out is sealed, and its sender sends it again."""

    async def story() -> bytes:
        async with Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE), timing=CALM) as province:
            await until(province.is_up, within_s=PATIENCE_S)
        async with Peer(broker.settings, COUNTY, broker.files_of(COUNTY), timing=CALM) as county:
            await until(county.is_up, within_s=PATIENCE_S)
            topic = frame_topic(PROVINCE, Lane.ROUTINE, COUNTY)
            assert await county.transport.publish("province", "slow", topic, b"queued")
            thief = await Intruder.open(broker.port, broker.files_of(THIEF), f"slow-{PROVINCE}-test", clean=False)
            await asyncio.sleep(2 * SETTLE_S)
            assert await county.transport.publish("province", "slow", topic, b"later")
            await asyncio.sleep(2 * SETTLE_S)
            if broker.engine == "rabbitmq":
                await happens(lambda: b"queued" in thief.heard and b"later" in thief.heard)
            await thief.close()
            return thief.heard

    heard = asyncio.run(story())
    assert (b"queued" in heard, b"later" in heard) == ((broker.engine == "rabbitmq",) * 2)


@pytest.mark.parametrize("engine", ["mosquitto", "nats"])
def test_g10_a_running_broker_takes_a_changed_directory_and_drops_nobody_else(tmp_path: Path, engine: str) -> None:
    """One office joins, then another is revoked: the commands that are printed, on a broker at work."""

    def take(site: Site, revoked: tuple[Address, ...]) -> None:
        serials = [subject_of((broker.folder / f"{office}.pem").read_bytes()).serial for office in revoked]
        tls = {"crl.pem": broker.authority.revocation_list(serials)}
        found = update(broker.folder, site, engine, tls)
        for line in found.commands:
            subprocess.run(["/bin/sh", "-c", line], check=True)  # as a person would run it

    async def arrives(sender: Peer, office: Address, text: bytes) -> bool:
        for _ in range(30):
            await sender.transport.publish("province", "slow", frame_topic(PROVINCE, Lane.ROUTINE, office), text)
            await asyncio.sleep(SETTLE_S)
            if text in province.payloads():
                return True
        return False

    broker = RunningBroker(tmp_path, engine, (COUNTY, PROVINCE))
    (broker.folder / "argv.json").unlink()
    site = Site("province", broker.folder, "127.0.0.1", broker.port, True, (COUNTY, PROVINCE), True, "root")
    broker.files_of(COUNTY)
    update(broker.folder, site, engine, {"crl.pem": broker.authority.revocation_list([])})
    program = {"mosquitto": mosquitto.program, "nats": nats.program}[engine]()
    write_argv(broker.folder, [program, "-c", str(broker.folder / f"{engine}.conf")])
    broker.start()
    province = Peer(broker.settings, PROVINCE, broker.files_of(PROVINCE))
    county = Peer(broker.settings, COUNTY, broker.files_of(COUNTY))
    joining = Peer(broker.settings, THIEF, broker.files_of(THIEF))

    async def story() -> None:
        async with province, county:
            await until(lambda: province.is_up() and county.is_up())
            async with joining:
                take(replace(site, offices=(COUNTY, PROVINCE, THIEF)), ())
                assert await arrives(joining, THIEF, b"joined")
                take(replace(site, offices=(PROVINCE, THIEF)), (COUNTY,))
                assert await arrives(joining, THIEF, b"still")
                await county.transport.publish("province", "slow", frame_topic(PROVINCE, Lane.ROUTINE, COUNTY), b"late")
                await joining.transport.publish("province", "slow", frame_topic(COUNTY, Lane.ROUTINE, THIEF), b"lost")
                assert await arrives(joining, THIEF, b"after")
            assert b"late" not in province.payloads()
            assert b"lost" not in county.payloads()
            assert [change.up for change in province.changes] == [True, True], "an office that stays was cut off"
            async with Peer(broker.settings, COUNTY, broker.files_of(COUNTY), secret="again") as again:
                await until(lambda: bool(again.changes))
                assert not again.changes[0].up

    try:
        asyncio.run(story())
    finally:
        broker.stop()
