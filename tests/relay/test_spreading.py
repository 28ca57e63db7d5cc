"""A newer directory is found whoever offers it first; who has the newest is sent timestamps and no more (G14)."""

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from keys.trust.metadata import ROSTER_FILE, TARGETS, TIMESTAMP, root_file
from keys.trust.store import TrustStore
from protocol.ids import Address
from protocol.topics import TIMESTAMPS, TrustTopic, parse_topic, trust_topic
from relay import spreading
from relay.alarms import Alarms
from relay.offers import Source
from relay.ports import Arrived
from relay.spreading import Spreading
from tests.keys.networks import NOW_US, Administrator

ME, FIRST, SECOND = Address("320001-GO"), Address("320002-GO"), Address("320003-GO")
MINUTE_US = 60_000_000
JUNK = b"{}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SETTLE_S", 0.01), ("LOOK_S", 0.01), ("ASK_S", 0.1), ("REST_US", 100_000)):
        monkeypatch.setattr(spreading, name, value)


@dataclass
class OneBroker:
    """Retained trust files and one listener; counts what it hands out."""

    retained: dict[str, bytes] = field(default_factory=dict)
    filters: set[str] = field(default_factory=lambda: {TIMESTAMPS})
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    listener: Callable[[Arrived, TrustTopic], Any] | None = None

    async def publish(self, _broker: str, _group: str, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        self.retained[topic] = payload
        if any(_matches(topic, one) for one in self.filters):
            await self._hand_out(topic, payload)
        return True

    async def subscribe(self, _broker: str, _group: str, filters: Sequence[str]) -> bool:
        self.filters |= set(filters)
        for topic, payload in tuple(self.retained.items()):
            if any(_matches(topic, one) for one in filters):
                await self._hand_out(topic, payload)
        return True

    async def unsubscribe(self, _broker: str, _group: str, filters: Sequence[str]) -> bool:
        self.filters -= set(filters)
        return True

    async def _hand_out(self, topic: str, payload: bytes) -> None:
        self.sent.append((topic, payload))
        if self.listener is not None:
            await self.listener(Arrived("b", topic, payload, retained=True), topic_of(topic))

    def retain(self, publisher: Address, files: Mapping[str, bytes]) -> None:
        self.retained |= {trust_topic(publisher, name): data for name, data in files.items()}


def topic_of(topic: str) -> TrustTopic:
    parsed = parse_topic(topic)
    assert isinstance(parsed, TrustTopic)
    return parsed


def _matches(topic: str, wanted: str) -> bool:
    return all(w in ("+", p) for w, p in zip(wanted.split("/"), topic.split("/"), strict=True))


class Office:
    """An office with a trust store on disk, and as much of a ground as spreading stands on."""

    def __init__(self, place: Path, files: Mapping[str, bytes], broker: OneBroker) -> None:
        self.store = TrustStore.install(place, files, NOW_US + 1)
        trust = self.store.load(NOW_US + 1)
        self.loop = asyncio.get_running_loop()
        self.tasks: list[asyncio.Task[Any]] = []
        self.took = asyncio.Event()
        me = trust.directory.by_address(ME)
        assert me is not None
        settings = SimpleNamespace(
            brokers=("b",), trust=SimpleNamespace(refresh_s=0.5, behind_s=0.0, stale_s=1e9, stop_s=1e9)
        )
        self.ground: Any = SimpleNamespace(
            directory=trust.directory, identity=SimpleNamespace(office=me.id), me=me, settings=settings,
            clock=SimpleNamespace(now_us=lambda: NOW_US + MINUTE_US, monotonic_us=self._monotonic_us),
            offload=SimpleNamespace(run=self._run), trust=trust, take_trust=self._take, kick=lambda: None,
            audit=SimpleNamespace(add=lambda *_, **__: None), alarms=Alarms(), behind_since_us=None,
            spawn=lambda work: self.tasks.append(self.loop.create_task(work)),
        )  # fmt: skip
        self.spreading = Spreading(self.ground, self.store, broker)  # type: ignore[arg-type]
        broker.listener = self.spreading.on_trust
        self.tasks.append(self.loop.create_task(self.spreading.run()))

    def _monotonic_us(self) -> int:
        return round(self.loop.time() * 1e6)

    async def _run(self, work: Callable[[], Any], _pieces: int) -> Any:
        return work()

    def _take(self, trust: Any) -> None:
        self.ground.trust = trust
        self.took.set()

    async def knows(self, version: int, within_s: float = 5) -> None:
        async with asyncio.timeout(within_s):
            while self.ground.trust.timestamp_version < version:
                self.took.clear()
                await self.took.wait()

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


def play(story: Callable[[Path, Administrator], Any], tmp_path: Path) -> None:
    administrator = Administrator(tmp_path / "root")
    asyncio.run(story(tmp_path / "home", administrator))


def bytes_of(broker: OneBroker, file: str) -> int:
    return sum(len(data) for topic, data in broker.sent if topic.endswith(file.replace(".", "_")))


@pytest.mark.parametrize("act", ["publish", "renew", "suspend", "rotate root", "rotate timestamp", "rotate targets"])
def test_g14_a_newer_directory_is_taken_and_nothing_is_fetched_that_did_not_change(tmp_path: Path, act: str) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        office = Office(home, administrator.files, broker)
        newer = administrator.act(act, NOW_US + 2)
        broker.retain(FIRST, newer.files)
        await broker.subscribe("b", "slow", [TIMESTAMPS])
        await office.knows(2)
        assert office.ground.trust.directory == newer.directory
        assert bool(bytes_of(broker, ROSTER_FILE)) is (act == "publish")
        await asyncio.sleep(0.05)
        # Once it has what it asked for it hears timestamps only.
        assert broker.filters == {TIMESTAMPS}
        office.end()

    play(story, tmp_path)


def test_g14_who_has_the_newest_is_sent_timestamps_and_nothing_else(tmp_path: Path) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        for number in range(100):
            broker.retain(Address(f"{320_100 + number}-GO"), administrator.files)
        office = Office(home, administrator.files, broker)
        # Strangers beyond a few are not even remembered; what the broker hands out is the same.
        for topic in list(broker.retained)[:3]:
            broker.retained[topic.replace("320100", FIRST[:6])] = broker.retained[topic]
        await broker.subscribe("b", "slow", [trust_topic(Address("320100-GO"), TIMESTAMP)])
        await asyncio.sleep(0.1)
        assert {topic.rsplit("/", 1)[1] for topic, _ in broker.sent} == {"timestamp_json"}
        office.end()

    play(story, tmp_path)


@pytest.mark.parametrize("lie", ["junk files", "only the timestamp", "junk timestamp", "an older generation", "mixed"])
def test_g14_a_lying_publisher_delays_nobody_for_long(tmp_path: Path, lie: str) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        old = dict(administrator.files)
        office = Office(home, old, broker)
        middle = dict(administrator.act("publish", NOW_US + 2).files)
        new = dict(administrator.act("publish", NOW_US + 3).files)
        lies = {
            "junk files": dict.fromkeys(new, JUNK) | {TIMESTAMP: new[TIMESTAMP]},
            "only the timestamp": {TIMESTAMP: new[TIMESTAMP]},
            "junk timestamp": new | {TIMESTAMP: JUNK},
            "an older generation": old,
            "mixed": middle | {TIMESTAMP: new[TIMESTAMP]},
        }
        broker.retain(FIRST, lies[lie])
        await broker.subscribe("b", "slow", [TIMESTAMPS])
        await asyncio.sleep(0.05)
        broker.retain(SECOND, new)
        await broker.publish("b", "slow", trust_topic(SECOND, TIMESTAMP), new[TIMESTAMP])
        await office.knows(3)
        assert office.ground.behind_since_us is None or lie != "an older generation"
        await asyncio.sleep(0.3)
        assert "TRUST_BEHIND" not in office.ground.alarms
        office.end()

    play(story, tmp_path)


def test_g14_a_proven_newer_directory_that_does_not_come_is_an_alarm_and_a_claim_is_none(tmp_path: Path) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        old = dict(administrator.files)
        office = Office(home, old, broker)
        new = administrator.act("publish", NOW_US + 2).files
        await broker.publish("b", "slow", trust_topic(FIRST, TIMESTAMP), JUNK)
        await asyncio.sleep(0.1)
        assert office.ground.behind_since_us is None
        await broker.publish("b", "slow", trust_topic(FIRST, TIMESTAMP), new[TIMESTAMP])
        await asyncio.sleep(0.1)
        assert office.ground.behind_since_us is not None
        assert "TRUST_BEHIND" in office.ground.alarms
        broker.retain(FIRST, new)
        await office.knows(2)
        await asyncio.sleep(0.1)
        assert office.ground.behind_since_us is None
        assert "TRUST_BEHIND" not in office.ground.alarms
        office.end()

    play(story, tmp_path)


def test_g14_a_restored_home_takes_back_what_it_published_itself_before(tmp_path: Path) -> None:
    """The whole home is an old backup, floor and all; its own retained files are newer than it is."""

    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        office = Office(home, dict(administrator.files), broker)
        broker.retain(ME, administrator.act("publish", NOW_US + 2).files)
        await broker.subscribe("b", "slow", [TIMESTAMPS])
        await office.knows(2)
        office.end()

    play(story, tmp_path)


def test_what_a_broker_lost_is_read_again_after_a_while(tmp_path: Path) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        office = Office(home, dict(administrator.files), broker)
        await office.spreading.on_link("b", up=True)
        broker.retain(FIRST, administrator.act("publish", NOW_US + 2).files)
        await office.knows(2)
        office.end()

    play(story, tmp_path)


def test_g13_g14_a_full_disk_holds_up_no_newer_directory_and_ends_no_relay(tmp_path: Path) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        office = Office(home, dict(administrator.files), broker)
        newer = administrator.act("rotate root", NOW_US + 2).files
        full = patch("keys.files.private_files.os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device"))
        with full:
            broker.retain(FIRST, newer)
            await broker.subscribe("b", "slow", [TIMESTAMPS])
            await office.knows(2)
            await asyncio.sleep(0.05)
            assert "TRUST_NOT_KEPT" in office.ground.alarms
            assert TrustStore(home).load(NOW_US + 3).timestamp_version == 1
        await asyncio.sleep(0.1)
        # There is room again: what is in force is durable now, the new root too.
        assert "TRUST_NOT_KEPT" not in office.ground.alarms
        kept = TrustStore(home).load(NOW_US + 3)
        assert (kept.timestamp_version, kept.root_version, kept.damaged) == (2, 2, ())
        assert not any(task.done() for task in office.tasks)
        office.end()

    play(story, tmp_path)


def test_g14_a_hostile_broker_spoils_nothing_that_comes_over_another(tmp_path: Path) -> None:
    """It shows the publisher's own newer timestamp first, so that it is asked, and mixes junk with whatever comes."""

    async def story(home: Path, administrator: Administrator) -> None:
        broker = OneBroker()
        office = Office(home, dict(administrator.files), broker)
        new = administrator.act("publish", NOW_US + 2).files

        async def lie() -> None:
            while True:
                for name in (TIMESTAMP, TARGETS, root_file(1), root_file(2)):
                    topic = trust_topic(FIRST, name)
                    data = new[TIMESTAMP] if name == TIMESTAMP else JUNK
                    await office.spreading.on_trust(Arrived("hostile", topic, data, retained=True), topic_of(topic))
                await asyncio.sleep(0.005)

        office.tasks.append(asyncio.ensure_future(lie()))
        await asyncio.sleep(0.05)
        broker.retain(FIRST, new)
        await broker.subscribe("b", "slow", [TIMESTAMPS])
        await office.knows(2)
        office.end()

    play(story, tmp_path)


def test_g14_files_that_were_signed_twice_are_told_and_junk_is_not(tmp_path: Path) -> None:
    async def story(home: Path, administrator: Administrator) -> None:
        thief = Administrator(tmp_path / "thief")
        office = Office(home, administrator.act("renew", NOW_US + 2).files, OneBroker())
        told: list[str] = []
        office.spreading.on_signed_twice = told.append
        source = Source("b", FIRST)
        await office.spreading.consider(source, {**administrator.files, root_file(1): JUNK})
        assert told == []
        other = thief.act("renew", NOW_US + 3).files
        await office.spreading.consider(source, {**administrator.files, TIMESTAMP: other[TIMESTAMP]})
        assert told == ["two different timestamps 2, shown by 320002-GO"]
        office.end()

    play(story, tmp_path)
