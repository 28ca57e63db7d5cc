"""The simulated network: six offices on two brokers, two of which join them, so that there is always a way round.

y: county, township, city, department        p: city, department, province, enterprise
"""

import random
import tempfile
from pathlib import Path

from keys.primitives import SigningKey, sha256
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeKey, OfficeRecord
from protocol.ids import Address, OfficeId
from protocol.limits import SECOND_US
from tests.sim.broker import Broker
from tests.sim.history import History
from tests.sim.office import OfficeProcess, Seat, network_id
from tests.sim.virtual import START_US, Time

YEAR_US = 366 * 86_400 * SECOND_US

PLAN = {
    "320924-GO": ("county", "liaison", "320900-GO", ("y",)),
    "320925-GO": ("county", "direct", "320900-GO", ("y",)),
    "320900-GO": ("city", "liaison", "320000-GO", ("p", "y")),
    "320901-GO": ("department", "liaison", "320000-GO", ("p", "y")),
    "320000-GO": ("province", None, None, ("p",)),
    "320002-GO": ("department", "liaison", "320000-GO", ("p",)),
}
"""Address: class, standing, parent, brokers."""


def _id(address: str) -> OfficeId:
    return OfficeId(sha256(b"office " + address.encode())[:16])


def _key(address: str) -> SigningKey:
    return SigningKey.from_seed(sha256(b"key " + address.encode()))


SEATS = {
    address: Seat(address, _id(address), _key(address), sha256(b"prekey " + address.encode()), brokers)
    for address, (_, _, _, brokers) in PLAN.items()
}
DIRECTORY = Directory(
    network_id(),
    "sim",
    1,
    START_US,
    {
        _id(address): OfficeRecord(
            _id(address), Address(address), address, class_, None if parent is None else _id(parent), standing, brokers,
            (OfficeKey.of(_key(address).public(), START_US - YEAR_US, START_US + YEAR_US),),
        )
        for address, (class_, standing, parent, brokers) in PLAN.items()
    },
)  # fmt: skip


class Network:
    """The offices, the brokers, and the history of one simulation."""

    def __init__(self, seed: str, place: Path, time: Time) -> None:
        self.time = time
        self.dice = random.Random(f"{seed} network")
        self.history = History(DIRECTORY, time)
        self.brokers = {
            name: Broker(name, random.Random(f"{seed} broker {name}"), self.history.on_publish) for name in ("p", "y")
        }
        self.offices = {
            address: OfficeProcess(seat, DIRECTORY, self.brokers, place / address, time, seed)
            for address, seat in SEATS.items()
        }
        self.history.offices = self.offices
        for office in self.offices.values():
            office.knows_prekeys = [other.own_record for other in self.offices.values() if other is not office]

    async def start(self, late: str) -> None:
        """Start every office but one that comes late."""
        for address, office in self.offices.items():
            if address != late:
                await office.start()

    async def stop(self) -> None:
        for office in self.offices.values():
            await office.crash()


def sim_place() -> "tempfile.TemporaryDirectory[str]":
    """A directory in memory where there is one: a simulated power cut needs no real disk."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="yizhan-sim-")
