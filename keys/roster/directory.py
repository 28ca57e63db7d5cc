"""The verified directory: all offices of the network, the rules they share, and what follows from both.

Pure: no clock and no file; `keys/trust.py` brings the bytes and says when they may be believed.
A `Directory` that exists is consistent: ids, addresses and keys are unique, parents exist and form a forest.
Wire form (`roster.cbor`, SPEC "Roster"): canonical CBOR, offices sorted by id, groups sorted by name.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from keys.primitives import suite_for
from keys.roster.changes import Change, apply_changes, decode_changes, require_order
from keys.roster.office_record import (
    OfficeKey,
    OfficeRecord,
    Person,
    fields,
    is_name,
    is_time,
    items,
    require,
    require_version,
)
from protocol import cbor
from protocol.errors import RemoteError
from protocol.ids import Address, NetworkId, OfficeId, is_group
from protocol.lanes import KINDS
from protocol.limits import DIRECTORY_BYTES, NETWORK_ID_BYTES

ROSTER_VERSION: Final = 1
"""Version of the roster's wire form."""

OFFICES: Final = 5_000
"""Most offices of one network: three times the province down to its townships."""

GROUPS: Final = 200
"""Most groups that a roster may list."""

EMERGENCY_BYPASSES: Final = (None, "copy_city")
"""What lets an incident skip the city (CONTRACT section 5), in the order of the wire numbers."""

BUILT_IN_GROUPS: Final = ("@all", "@cities", "@counties", "@departments", "@direct")
"""Groups that follow from class and standing; a roster must not list them."""

_GROUP_CLASS: Final = {"@cities": "city", "@counties": "county", "@departments": "department"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the network demands: kinds that need a reviewer or an issuer, the way round the city, allowed suites."""

    require_reviewer: frozenset[str] = frozenset()
    require_issuer: frozenset[str] = frozenset()
    emergency_bypass: str | None = None
    suites: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        require(
            self.require_reviewer <= set(KINDS) and self.require_issuer <= set(KINDS), "a rule names an unknown kind"
        )
        require(self.emergency_bypass in EMERGENCY_BYPASSES, "the emergency bypass is unknown")
        require(
            0 < len(self.suites) <= 16
            and all(type(suite) is int and 1 <= suite <= 255 for suite in self.suites)
            and all(one < next_ for one, next_ in pairwise(self.suites)),
            "suites are not a rising list of numbers from 1 to 255",
        )

    def encode(self) -> dict[int, Any]:
        """The wire map."""
        return {
            0: sorted(self.require_reviewer),
            1: sorted(self.require_issuer),
            2: EMERGENCY_BYPASSES.index(self.emergency_bypass),
            3: list(self.suites),
        }

    @staticmethod
    def decode(value: object) -> "Rules":
        """The rules of a wire map; raises `RemoteError` MALFORMED."""
        reviewer, issuer, bypass, suites = fields(value, 4, "the rules")
        require(type(bypass) is int and 0 <= bypass < len(EMERGENCY_BYPASSES), "the emergency bypass is unknown")
        return Rules(
            _names(reviewer, "kinds for review"),
            _names(issuer, "kinds for issue"),
            EMERGENCY_BYPASSES[bypass],
            tuple(items(suites, 16, "suites")),
        )


def _names(value: object, what: str) -> frozenset[str]:
    """A sorted array of distinct texts as a set; raises `RemoteError` MALFORMED."""
    names = items(value, len(KINDS), what)
    require(all(type(name) is str for name in names) and names == sorted(set(names)), f"{what}: not sorted texts")
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Directory:
    """The network at one version.

    `issued_us` is the time the administrator gave; `root_fingerprint` is filled in by whoever verified the
    roster ("" before) and is not part of the encoded form. `suspended` are the offices in that state. `offices` are as
    they were before the first of the `changes`; what holds at a time is `at`.
    Raises `RemoteError` MALFORMED when inconsistent.
    """

    network_id: NetworkId
    network: str
    version: int
    issued_us: int
    offices: Mapping[OfficeId, OfficeRecord]
    rules: Rules = Rules()
    groups: Mapping[str, tuple[OfficeId, ...]] = field(default_factory=dict)
    root_fingerprint: str = ""
    changes: tuple[Change, ...] = ()
    suspended: frozenset[OfficeId] = field(init=False, repr=False, compare=False)
    _names: Mapping[Address, OfficeId] = field(init=False, repr=False, compare=False)
    _dates: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _stages: "tuple[Directory, ...]" = field(init=False, repr=False, compare=False)
    _brokers: Mapping[str, tuple[OfficeRecord, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(type(self.network_id) is bytes and len(self.network_id) == NETWORK_ID_BYTES, "network id: not 16 bytes")
        require(is_name(self.network), "the network's name is empty, too long or not printable")
        require(type(self.version) is int and 1 <= self.version < 2**32, "the directory's version is out of range")
        require(is_time(self.issued_us), "the directory's time is not a time")
        require(len(self.offices) <= OFFICES, f"the directory has more than {OFFICES} offices")
        require(all(id_ == office.id for id_, office in self.offices.items()), "an office is filed under another id")
        _require_unique(self.offices)
        _require_forest(self.offices)
        _require_groups(self.groups, self.offices)
        # The mappings are frozen too: a directory is shared by every task of the daemon.
        offices = {id_: self.offices[id_] for id_ in sorted(self.offices)}
        by_broker: defaultdict[str, list[OfficeRecord]] = defaultdict(list)
        for office in offices.values():
            for broker in office.brokers:
                by_broker[broker].append(office)
        _freeze(self, "offices", offices)
        _freeze(self, "groups", {name: tuple(self.groups[name]) for name in sorted(self.groups)})
        object.__setattr__(self, "suspended", frozenset(one.id for one in offices.values() if one.state == "suspended"))
        _freeze(self, "_names", _names_in(self.offices, self.changes))
        _freeze(self, "_brokers", {broker: tuple(members) for broker, members in sorted(by_broker.items())})
        object.__setattr__(self, "_dates", tuple(sorted({change.from_us for change in self.changes})))
        object.__setattr__(self, "_stages", tuple(self._make_stages()))

    def at(self, at_us: int) -> "Directory":
        """The directory with the changes that have come by that time; cheap, and the same object for the same time.

        What it gives knows all names and dates too, and can be asked for other times, earlier ones as well.
        """
        return self._stages[bisect_right(self._dates, at_us)] if self._dates else self

    def _make_stages(self) -> "Iterator[Directory]":
        """The directory before each date of a change and after the last; raises `RemoteError` MALFORMED."""
        if not self._dates:
            return
        stages = [self]
        for date in self._dates:
            due = [change for change in self.changes if change.from_us == date]
            stages.append(replace(self, offices=apply_changes(stages[-1].offices, due), changes=()))
        for stage in stages[1:]:
            _freeze(stage, "_names", dict(self._names))
            object.__setattr__(stage, "_dates", self._dates)
            object.__setattr__(stage, "_stages", tuple(stages))
        yield from stages

    def by_id(self, office_id: bytes) -> OfficeRecord | None:
        """The office with this id, whatever its state, or None."""
        return self.offices.get(OfficeId(office_id))

    def by_address(self, address: str) -> OfficeRecord | None:
        """The office that has, had or will have this address, whatever its state, or None."""
        office_id = self._names.get(Address(address))
        return None if office_id is None else self.offices[office_id]

    def office_of(self, address: str) -> OfficeId | str:
        """The id of the office that has, had or will have this address; an unknown address stands for itself."""
        return self._names.get(Address(address), address)

    def names_of(self, office_id: bytes) -> frozenset[Address]:
        """All addresses of an office: those it had, has and will have; mail to each of them is its own."""
        return frozenset(name for name, id_ in self._names.items() if id_ == office_id)

    def expand(self, group: str) -> tuple[OfficeRecord, ...]:
        """The members of a group, by address; () for an unknown group.

        Built-in groups leave revoked offices out (and `@all` gateways); a listed group gives all its
        members, so that one that cannot be addressed is reported (CONTRACT section 5).
        """
        if group in BUILT_IN_GROUPS:
            members = [office for office in self.offices.values() if _is_member(office, group)]
        else:
            members = [self.offices[id_] for id_ in self.groups.get(group, ())]
        return tuple(sorted(members, key=lambda office: office.address))

    def neighbours(self, office_id: bytes) -> dict[OfficeId, tuple[str, ...]]:
        """Offices that share a broker with this one, each with the broker ids shared; {} for an unknown office.

        Revoked offices are left out. The cost is the number of offices on the shared brokers: keep the result
        as long as the directory.
        """
        office = self.by_id(office_id)
        shared: dict[OfficeId, tuple[str, ...]] = {}
        for broker in office.brokers if office is not None else ():
            for other in self._brokers[broker]:
                if other.id != office_id and other.state != "revoked":
                    shared[other.id] = (*shared.get(other.id, ()), broker)
        return shared

    def brokers(self) -> tuple[str, ...]:
        """The ids of all brokers that an office is attached to, sorted."""
        return tuple(self._brokers)

    def city_of(self, office: OfficeRecord) -> OfficeRecord | None:
        """The nearest ancestor of class city, or None; an office of class city has none."""
        parent = office.parent
        while parent is not None:
            ancestor = self.offices[parent]
            if ancestor.office_class == "city":
                return ancestor
            parent = ancestor.parent
        return None

    def signing_key(self, office_id: bytes, key_id: bytes, at_us: int) -> OfficeKey:
        """The office's signing key with this id, if a signature made at this time counts.

        Raises `RemoteError` UNKNOWN_OFFICE, UNKNOWN_KEY, BAD_SUITE for an algorithm of no allowed suite, or
        KEY_NOT_VALID outside the key's validity and from a revocation of the key or the office on. Whether
        the time itself can be believed is for the caller to judge (G14).
        """
        office = self.by_id(office_id)
        if office is None:
            raise RemoteError("UNKNOWN_OFFICE", office_id.hex())
        key = office.key(key_id)
        if key is None:
            raise RemoteError("UNKNOWN_KEY", f"{office.address} has no key {key_id.hex()}")
        if not self.allows(key.suite):
            raise RemoteError("BAD_SUITE", f"key {key_id.hex()} of {office.address} is of suite {key.suite}")
        if not key.valid_at(at_us) or _revoked_at(office, at_us):
            raise RemoteError("KEY_NOT_VALID", f"key {key_id.hex()} of {office.address}")
        return key

    def sealing_key(self, office_id: bytes, key_id: bytes, created_us: int, expires_us: int) -> OfficeKey:
        """The office's signing key with this id, if it counts under a copy of what was created at this time.

        A copy may be sealed later than that, by the key in force then: so one that began since counts too, while the
        copy lives. Raises `RemoteError` like `signing_key`.
        """
        office = self.by_id(office_id)
        key = None if office is None else office.key(key_id)
        since_us = created_us if key is None else max(created_us, key.not_before_us)
        return self.signing_key(office_id, key_id, since_us if since_us < expires_us else created_us)

    def allows(self, algorithm: int) -> bool:
        """Whether the network's rules allow a suite that this signature algorithm serves."""
        return suite_for(algorithm, self.rules.suites) is not None

    def has_key(self, office_id: bytes, key_id: bytes, at_us: int) -> bool:
        """Whether a signature that this key made at this time counts."""
        try:
            self.signing_key(office_id, key_id, at_us)
        except RemoteError:
            return False
        return True

    def person_by_key(self, office_id: bytes, key_id: bytes) -> Person | None:
        """The person of that office with this key, whatever its validity, or None."""
        office = self.by_id(office_id)
        return None if office is None else office.person_by_key(key_id)

    def encode(self) -> bytes:
        """The roster: canonical CBOR, the same bytes for equal directories."""
        return cbor.dumps(
            {
                0: ROSTER_VERSION,
                1: self.network_id,
                2: self.network,
                3: self.version,
                4: self.issued_us,
                5: [office.encode() for office in self.offices.values()],
                6: self.rules.encode(),
                7: [[name, list(members)] for name, members in self.groups.items()],
                8: [change.encode() for change in self.changes],
            }
        )

    @staticmethod
    def decode(data: bytes, *, root_fingerprint: str = "") -> "Directory":
        """The directory of a roster.

        Raises `RemoteError` TOO_LARGE, BAD_VERSION, or MALFORMED for anything a correct ceremony would not write.
        """
        value = cbor.loads(data, max_bytes=DIRECTORY_BYTES)
        require_version(value, ROSTER_VERSION, "the roster")
        _, network_id, network, version, issued_us, records, rules, groups, changes = fields(value, 9, "the roster")
        offices = [OfficeRecord.decode(record) for record in items(records, OFFICES, "offices")]
        require(
            all(one.id < next_.id for one, next_ in pairwise(offices)),
            "offices are not sorted by id, or one is there twice",
        )
        return Directory(
            network_id=network_id,
            network=network,
            version=version,
            issued_us=issued_us,
            offices={office.id: office for office in offices},
            rules=Rules.decode(rules),
            groups=_decode_groups(groups),
            root_fingerprint=root_fingerprint,
            changes=decode_changes(changes),
        )


def _freeze(directory: Directory, name: str, mapping: dict[Any, Any]) -> None:
    """Put a read-only mapping into the frozen directory, while it is being made."""
    object.__setattr__(directory, name, MappingProxyType(mapping))


def _decode_groups(value: object) -> dict[str, tuple[OfficeId, ...]]:
    """The groups of an array of [name, ids] sorted by name; raises `RemoteError` MALFORMED."""
    groups: dict[str, tuple[OfficeId, ...]] = {}
    last = ""
    for pair in items(value, GROUPS, "groups"):
        require(
            isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is str, "a group is not a name with members"
        )
        require(pair[0] > last, "groups are not sorted by name, or one is there twice")
        last = pair[0]
        groups[last] = tuple(items(pair[1], OFFICES, f"members of {last[:64]}"))
    return groups


def _is_member(office: OfficeRecord, group: str) -> bool:
    """Whether the office belongs to a built-in group."""
    if office.state == "revoked" or office.successor is not None:
        return False
    if group == "@all":
        return office.office_class != "gateway"
    if group == "@direct":
        return office.standing == "direct"
    return office.office_class == _GROUP_CLASS[group]


def _revoked_at(office: OfficeRecord, at_us: int) -> bool:
    return office.revoked_since_us is not None and at_us >= office.revoked_since_us


def _require_unique(offices: Mapping[OfficeId, OfficeRecord]) -> None:
    """No public key twice anywhere: not in two offices, two persons or two roles."""
    publics: set[bytes] = set()
    for office in offices.values():
        for public in (*(key.public for key in office.keys), *(person.public for person in office.persons)):
            require(public not in publics, f"a key of {office.address} is there twice")
            publics.add(public)


def _names_in(offices: Mapping[OfficeId, OfficeRecord], changes: Sequence[Change]) -> dict[Any, OfficeId]:
    """Every address that an office has, had or will have; raises `RemoteError` when it is not of one office alone."""
    require_order(changes)
    names: dict[Any, OfficeId] = {}
    held = [(name, office.id) for office in offices.values() for name in {office.address, *office.former}]
    for name, office_id in (*held, *((change.address, change.office_id) for change in changes)):
        require(names.setdefault(name, office_id) == office_id, f"two offices have the address {name}")
    return names


def _require_forest(offices: Mapping[OfficeId, OfficeRecord]) -> None:
    """Parents and successors exist, and following either comes to an end."""
    for name, link in (
        ("parent", {id_: office.parent for id_, office in offices.items()}),
        ("successor", {id_: office.successor for id_, office in offices.items()}),
    ):
        ended: set[OfficeId] = set()
        for start in offices:
            path: set[OfficeId] = set()
            at: OfficeId | None = start
            while at is not None and at not in ended:
                require(at in offices, f"the {name} of an office is not in the directory")
                require(at not in path, f"{offices[at].address} is its own {name} at one remove or more")
                path.add(at)
                at = link[at]
            ended |= path


def _require_groups(groups: Mapping[str, tuple[OfficeId, ...]], offices: Mapping[OfficeId, OfficeRecord]) -> None:
    """Listed groups have names of their own and known members, each once."""
    require(len(groups) <= GROUPS, f"more than {GROUPS} groups")
    for name, members in groups.items():
        require(is_group(name) and name not in BUILT_IN_GROUPS, f"{name[:64]!r} cannot be the name of a listed group")
        require(all(type(id_) is bytes and id_ in offices for id_ in members), f"{name} has an unknown member")
        require(len(set(members)) == len(members), f"{name} has a member twice")
