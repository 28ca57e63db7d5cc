"""Small networks for the tests of keys/: offices, directories, and an administrator with all passphrases."""

import random
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from keys.ceremony.network import Network, init_network, renew_timestamp
from keys.files.keyfile import Argon2Cost
from keys.primitives import SigningKey
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OFFICE_CLASSES, ROLES, STANDINGS, OfficeKey, OfficeRecord, Person
from keys.roster.suspensions import LISTED_US, SUSPENSION_US, Suspension
from keys.trust.policy import Policy
from protocol.ids import Address, NetworkId, OfficeId
from protocol.lanes import KINDS
from protocol.limits import TIME_MAX_US
from tests.keys.acts import publish_directory, publish_suspensions, rotate_keys

NOW_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000
CHEAP = Argon2Cost(memory_kib=8, iterations=1)
SMALL = Policy(root_keys=3, root_threshold=2, targets_keys=2, targets_threshold=2, suspension_keys=1)
NETWORK = NetworkId(bytes(range(16)))


def key_of(number: int) -> SigningKey:
    """The signing key number so and so."""
    return SigningKey.from_seed(number.to_bytes(32, "big"))


def make_office(
    number: int,
    *,
    office_class: str = "county",
    parent: OfficeId | None = None,
    brokers: tuple[str, ...] = ("province",),
) -> OfficeRecord:
    """An office with the key of that number, valid for ever."""
    return OfficeRecord(
        id=OfficeId(number.to_bytes(16, "big")),
        address=Address(f"{320_000 + number}-GO"),
        name=f"第{number}办公室",
        office_class=office_class,
        parent=parent,
        standing=None,
        brokers=brokers,
        keys=(OfficeKey.of(key_of(number).public(), 0, TIME_MAX_US),),
    )


def make_directory(*offices: OfficeRecord) -> Directory:
    """A directory of these offices, or of three counties."""
    members = offices or (make_office(1), make_office(2), make_office(3))
    return Directory(NETWORK, "lab", 1, NOW_US, {office.id: office for office in members})


class Administrator:
    """Someone who holds every key of a small network and does as told."""

    def __init__(
        self,
        place: Path,
        *,
        seed: int = 0,
        policy: Policy = SMALL,
        now_us: int = NOW_US,
        passphrase: bytes | None = None,
    ) -> None:
        self.place = place
        self.passphrase = passphrase
        self.policy = policy
        self.entropy = random.Random(seed).randbytes
        self.network = init_network(
            place, make_directory(), now_us, unlock=self.unlock, entropy=self.entropy, policy=policy, cost=CHEAP
        )

    def unlock(self, label: str) -> bytes:
        return self.passphrase or f"passphrase of {label}".encode()

    @property
    def files(self) -> Mapping[str, bytes]:
        return self.network.files

    def act(self, act: str, now_us: int) -> Network:
        """`publish`, `renew`, `suspend`, or `rotate ROLE`."""
        if act == "publish":
            directory = self.network.directory
            self.network = publish_directory(self.place, directory, now_us, unlock=self.unlock, policy=self.policy)
        elif act == "renew":
            self.network = renew_timestamp(self.place, now_us, policy=self.policy)
        elif act == "suspend":
            brake = Suspension(make_office(1).id, now_us, now_us + SUSPENSION_US, "演练")
            listed = self.network.suspensions
            if all(one.since_us + LISTED_US <= now_us for one in listed):
                listed = (brake,)
            self.network = publish_suspensions(self.place, listed, now_us, unlock=self.unlock, policy=self.policy)
        else:
            self.network = rotate_keys(
                self.place,
                act.removeprefix("rotate "),
                now_us,
                unlock=self.unlock,
                entropy=self.entropy,
                policy=self.policy,
                cost=CHEAP,
            )
        return self.network


times = st.integers(0, TIME_MAX_US - 1)
names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20)


@st.composite
def office_keys(draw: st.DrawFn, number: int) -> OfficeKey:
    start = draw(times)
    end = draw(st.integers(start + 1, TIME_MAX_US))
    return OfficeKey.of(key_of(number).public(), start, end, draw(st.none() | times))


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Any consistent directory of up to six offices."""
    ids = draw(st.lists(st.binary(min_size=16, max_size=16), max_size=6, unique=True))
    brokers = st.lists(st.sampled_from(["province", "yancheng", "edge-1"]), max_size=3, unique=True).map(tuple)
    offices: dict[OfficeId, OfficeRecord] = {}
    for number, id_ in enumerate(map(OfficeId, ids)):
        earlier = st.none() | st.sampled_from(sorted(offices)) if offices else st.none()
        state = draw(st.sampled_from(["active", "suspended", "revoked"]))
        persons = [
            Person.of(name, tuple(draw(st.lists(st.sampled_from(ROLES), min_size=1, unique=True))), key.public(), 0, 5)
            for name, key in ((draw(names), key_of(1_000 + number)) for _ in range(draw(st.integers(0, 1))))
        ]
        offices[id_] = OfficeRecord(
            id=id_,
            address=Address(f"{100_000 + number}-{draw(st.sampled_from(['GO', 'D017', 'X02']))}"),
            name=draw(names),
            office_class=draw(st.sampled_from(OFFICE_CLASSES)),
            parent=draw(earlier),
            standing=draw(st.none() | st.sampled_from(STANDINGS)),
            brokers=draw(brokers),
            keys=tuple(draw(office_keys(10 * number + at)) for at in range(1, 1 + draw(st.integers(0, 2)))),
            persons=tuple(persons),
            successor=draw(earlier),
            state=state,
            revoked_since_us=draw(times) if state == "revoked" else None,
            former=tuple(Address(f"{200_000 + 10 * number + at}-GO") for at in range(draw(st.integers(0, 2)))),
        )
    kinds = st.frozensets(st.sampled_from(KINDS), max_size=3)
    suites = st.lists(st.integers(1, 255), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
    members = (st.lists(st.sampled_from(sorted(offices)), unique=True) if offices else st.just([])).map(tuple)
    return Directory(
        network_id=NetworkId(draw(st.binary(min_size=16, max_size=16))),
        network=draw(names),
        version=draw(st.integers(1, 2**32 - 1)),
        issued_us=draw(times),
        offices=offices,
        rules=Rules(draw(kinds), draw(kinds), draw(st.sampled_from([None, "copy_city"])), draw(suites)),
        groups=draw(st.dictionaries(st.sampled_from(["@flood", "@liaison", "@x-1"]), members, max_size=3)),
    )
