"""A province of four levels: a revocation that its office publishes is known to every office within a minute (G14).

Forty-two offices on ten brokers, each with the real engine and the real trust store; what is signed is signed by the
administrators' own ceremony, and travels as it does between daemons: announced by timestamps, asked for, passed on.
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

from keys.ceremony.network import Network as Signed
from keys.ceremony.network import init_network
from keys.files.keyfile import LAB_COST
from keys.primitives import SigningKey, sha256
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeKey, OfficeRecord
from keys.roster.revocation import revoke_office
from keys.trust.policy import Policy
from keys.trust.store import Trust, TrustStore, UpdateResult
from protocol.ids import Address, OfficeId
from protocol.limits import SECOND_US
from tests.keys.acts import publish_directory
from tests.sim.broker import Broker, Message, _matches
from tests.sim.links import SimLinks
from tests.sim.network import YEAR_US, sim_place
from tests.sim.office import OfficeProcess, Seat, network_id
from tests.sim.virtual import START_US, Time, VirtualLoop

KNOWN_S = 60
PROVINCE, THIEF, OTHER = "320000-GO", "320101101-GO", "320402-GO"
RESTARTED = ("320100-GO", "320200-GO", "320201-GO", "320303-GO")
DOWN_S = 15
CITIES, COUNTIES, TOWNSHIPS = 5, 4, 3
POLICY = Policy(root_keys=1, root_threshold=1, targets_keys=1, targets_threshold=1, suspension_keys=1)


def plan() -> Iterator[tuple[str, str, str | None, tuple[str, ...]]]:
    """(address, class, parent, brokers): a broker for the province, for each city, and for one county of most."""
    yield PROVINCE, "province", None, ("p",)
    for number in range(1, 5):
        yield f"32000{number}-GO", "department", PROVINCE, ("p",)
    for city in range(1, CITIES + 1):
        yield f"32{city:02}00-GO", "city", PROVINCE, ("p", f"c{city}")
        for county in range(1, COUNTIES + 1):
            code, own = f"32{city:02}{county:02}", f"t{city}"
            below = county == 1 and city < CITIES
            yield f"{code}-GO", "county", f"32{city:02}00-GO", (f"c{city}", own) if below else (f"c{city}",)
            for number in range(1, TOWNSHIPS + 1) if below else ():
                yield f"{code}{100 + number}-GO", "township", f"{code}-GO", (own,)


class Travelling:
    """The trust store of a home as the simulated office knows it."""

    def __init__(self, home: Path) -> None:
        self._store = TrustStore(home)
        self._newest = self._store.load(START_US)
        self.take, self.keep = self._taking, self._store.keep
        self.is_outdated_by, self.publishable_files = self._store.is_outdated_by, self._store.publishable_files

    @property
    def directory(self) -> Directory:
        return self._newest.directory

    def trust(self) -> Trust:
        """At a start: what lies on the disk."""
        self._newest = self._store.load(START_US)
        return self._newest

    def _taking(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        result = self._store.take(files, now_us)
        self._newest = result.trust
        return result


async def subscribe(self: SimLinks, broker: str, group: str, filters: Sequence[str]) -> bool:
    """As MQTT: what the broker retains of it comes at once."""
    link = self.open.get((broker, group))
    if link is None or not link.up:
        return False
    session = link.broker._sessions[link._client]
    session.filters = tuple(dict.fromkeys((*session.filters, *filters)))
    link.broker._routes.clear()
    for topic, payload in link.broker._retained.items():
        if _matches(topic, tuple(filters)):
            link.broker._deliver(link._client, session, Message(topic, payload, retained=True))
    return True


async def unsubscribe(self: SimLinks, broker: str, group: str, filters: Sequence[str]) -> bool:
    link = self.open.get((broker, group))
    if link is None or not link.up:
        return False
    session = link.broker._sessions[link._client]
    session.filters = tuple(one for one in session.filters if one not in filters)
    link.broker._routes.clear()
    return True


class Province:
    """The administrators with their keys, the brokers and the offices."""

    def __init__(self, place: Path, time: Time) -> None:
        self.root = place / "root"
        self._time = time
        seats = {address: self._seat(address, brokers) for address, _, _, brokers in plan()}
        offices = [
            OfficeRecord(
                seats[address].office, Address(address), address, class_,
                None if parent is None else seats[parent].office, None if parent is None else "direct", brokers,
                (OfficeKey.of(seats[address].key.public(), START_US - YEAR_US, START_US + YEAR_US),),
            )
            for address, class_, parent, brokers in plan()
        ]  # fmt: skip
        directory = Directory(network_id(), "sim", 1, START_US, {one.id: one for one in offices})
        self.signed: Signed = init_network(
            self.root, directory, START_US, unlock=self._unlock, entropy=Random(1).randbytes, policy=POLICY,
            cost=LAB_COST,
        )  # fmt: skip
        names = sorted({name for seat in seats.values() for name in seat.brokers})
        self.brokers = {name: Broker(name, Random(name), lambda *_: None) for name in names}
        TrustStore.install(place / "home", self.signed.files, START_US)
        self.offices: dict[str, OfficeProcess] = {}
        for address, seat in seats.items():
            office = OfficeProcess(seat, self.signed.directory, self.brokers, place / address, time, "province")
            home = shutil.copytree(place / "home", place / f"{address}.home")
            office._trust = Travelling(home)  # type: ignore[assignment]
            self.offices[address] = office

    @staticmethod
    def _seat(address: str, brokers: tuple[str, ...]) -> Seat:
        office, key, prekey = (sha256(f"{what} {address}".encode()) for what in ("office", "key", "prekey"))
        return Seat(address, OfficeId(office[:16]), SigningKey.from_seed(key), prekey, brokers)

    @staticmethod
    def _unlock(_label: str) -> bytes:
        return b"passphrase"

    async def revoke(self, address: str) -> dict[str, float]:
        """The administrators revoke an office and give the directory to the province's daemon: when each office knew,
        in seconds after that; waits for all, or for a minute.
        """
        began_us, known = self._time.us, dict[str, float]()
        now_us = START_US + began_us
        after = revoke_office(self.signed.directory, address, now_us - SECOND_US, now_us)
        self.signed = publish_directory(self.root, after, now_us, unlock=self._unlock, policy=POLICY)
        await self.offices[PROVINCE].service.trust_take(self.signed.files)
        while len(known) < len(self.offices) and self._time.us - began_us <= KNOWN_S * SECOND_US:
            for name, office in self.offices.items():
                if name not in known and office.running:
                    found = office.ground.directory.by_address(Address(address))
                    if found is not None and found.state == "revoked":
                        known[name] = (self._time.us - began_us) / SECOND_US
            await asyncio.sleep(0.1)
        return known


@contextmanager
def province() -> Iterator[tuple[Province, VirtualLoop]]:
    """The province, and the loop on whose virtual time it lives."""
    time = Time()
    loop = VirtualLoop(time)
    with (
        sim_place() as place,
        patch.object(SimLinks, "subscribe", subscribe),
        patch.object(SimLinks, "unsubscribe", unsubscribe),
    ):
        try:
            yield Province(Path(place), time), loop
        finally:
            loop.close()


def test_g14_a_revocation_is_known_in_a_province_of_four_levels_within_a_minute() -> None:
    """Also where relays that others are behind are down when it is published, and come back after 15 s."""
    with province() as (found, loop):

        async def story() -> None:
            for office in found.offices.values():
                await office.start()
            await asyncio.sleep(5)
            known = await found.revoke(THIEF)
            print(f"known to {len(known)} offices after {max(known.values()):.1f} s at most")
            again = asyncio.get_running_loop().create_task(found.revoke(OTHER))
            for address in RESTARTED:
                await found.offices[address].crash()
            await asyncio.sleep(DOWN_S)
            for address in RESTARTED:
                await found.offices[address].start()
            late = await again
            print(f"with {len(RESTARTED)} relays that were down: after {max(late.values()):.1f} s")
            for office in found.offices.values():
                assert office.failures == []
                await office.crash()
            for times in (known, late):
                assert set(times) == set(found.offices)
                assert max(times.values()) <= KNOWN_S
            assert min(late[address] for address in RESTARTED) >= DOWN_S

        loop.run_until_complete(story())
        assert len(found.offices) >= 42
