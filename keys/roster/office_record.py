"""One office as the roster describes it: its place, its brokers, its keys and its persons.

Values only: no clock, no file. Every record checks itself when it is made, so that a record that exists
is a valid one; what concerns several offices at once is checked by `keys/roster/directory.py`.
Wire form: SPEC, "Roster". Every map has all its keys, null for what is absent, so that a record has one form.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from keys.mldsa import MLDSA
from keys.primitives import ED25519, SERVES, is_signing_key, key_id, sha256, signature_suite
from protocol.errors import RemoteError
from protocol.ids import Address, KeyId, OfficeId, is_address
from protocol.limits import OFFICE_ID_BYTES, TIME_MAX_US

OFFICE_CLASSES: Final = (
    "province", "city", "department", "county", "stationed",
    "township", "university", "enterprise", "market", "gateway",
)  # fmt: skip
"""Classes of CONTRACT section 4, in the order of their wire numbers."""

STANDINGS: Final = ("liaison", "direct", "screened")
"""Whether an office may report to the province itself, in the order of their wire numbers."""

STATES: Final = ("active", "suspended", "revoked")
"""States of an office, in the order of their wire numbers."""

ROLES: Final = ("reviewer", "issuer", "clerk")
"""What a person may do for an office (CONTRACT section 11)."""

NAME_CHARS: Final = 200
"""Longest name of an office or a person."""

OFFICE_BROKERS: Final = 16
OFFICE_KEYS: Final = 32
OFFICE_PERSONS: Final = 500
OFFICE_FORMER: Final = 16
"""Most brokers, signing keys, persons and former addresses of one office: bounds the work one record can cause."""

KEY_BYTES: Final = 4_096
"""Longest public key: ML-DSA-65 has 1,952 bytes."""

_BROKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, and marks that reorder the text around them."""


def _malformed(detail: str) -> RemoteError:
    return RemoteError("MALFORMED", detail)


def require(condition: bool, detail: str) -> None:
    """Raise `RemoteError` MALFORMED with `detail` unless the condition holds."""
    if not condition:
        raise _malformed(detail)


def is_time(value: object) -> bool:
    """Whether the value is a time in microseconds that the roster may hold."""
    return type(value) is int and 0 <= value <= TIME_MAX_US


def is_name(value: object) -> bool:
    """Whether the value is a name that can be shown on one line and cannot disguise itself."""
    return (
        type(value) is str
        and 0 < len(value) <= NAME_CHARS
        and value == value.strip()
        and not _UNPRINTABLE.search(value)
    )


def _suite_of(public: bytes) -> int:
    """The algorithm of a signing key by its length; Ed25519 for a key that `_require_key` refuses as of no length."""
    suite = signature_suite(public)
    return ED25519 if suite is None else suite


def _require_key(
    suite: int, public: bytes, key: KeyId, not_before_us: int, not_after_us: int, since: int | None
) -> None:
    """What holds for every public key, of an office or of a person."""
    require(type(suite) is int and 0 <= suite <= 255, "a key's suite is not a small integer")
    require(type(public) is bytes and 0 < len(public) <= KEY_BYTES, "a key is not a byte string of allowed length")
    require(suite not in SERVES or is_signing_key(suite, public), "a signing key is weak, or not in its one form")
    require(key == key_id(suite, public), "a key id does not belong to its key")
    require(
        is_time(not_before_us) and is_time(not_after_us) and not_before_us < not_after_us, "a key's validity is empty"
    )
    require(since is None or is_time(since), "a revocation time is not a time")


@dataclass(frozen=True, slots=True)
class OfficeKey:
    """A signing key of an office, valid in [not_before_us, not_after_us) and not from `revoked_since_us` on."""

    suite: int
    public: bytes
    key_id: KeyId
    not_before_us: int
    not_after_us: int
    revoked_since_us: int | None = None

    def __post_init__(self) -> None:
        _require_key(self.suite, self.public, self.key_id, self.not_before_us, self.not_after_us, self.revoked_since_us)

    @staticmethod
    def of(public: bytes, not_before_us: int, not_after_us: int, revoked_since_us: int | None = None) -> "OfficeKey":
        """A signing key, Ed25519 or SM2, with its id. Raises `RemoteError` for a weak key or an empty validity."""
        suite = _suite_of(public)
        return OfficeKey(suite, public, key_id(suite, public), not_before_us, not_after_us, revoked_since_us)

    @staticmethod
    def second(public: bytes, not_before_us: int, not_after_us: int) -> "OfficeKey":
        """An ML-DSA-65 key, which the directory names by its SHA-256: the key itself has 1,952 bytes."""
        named = sha256(public)
        return OfficeKey(MLDSA, named, key_id(MLDSA, named), not_before_us, not_after_us)

    def valid_at(self, at_us: int) -> bool:
        """Whether a signature made at this time counts."""
        revoked = self.revoked_since_us is not None and at_us >= self.revoked_since_us
        return self.not_before_us <= at_us < self.not_after_us and not revoked

    def encode(self) -> dict[int, Any]:
        """The wire map; the key id is left out, since it follows from the key."""
        return {
            0: self.suite, 1: self.public, 2: self.not_before_us, 3: self.not_after_us, 4: self.revoked_since_us,
        }  # fmt: skip

    @staticmethod
    def decode(value: object) -> "OfficeKey":
        """The key of a wire map; raises `RemoteError` MALFORMED."""
        suite, public, not_before, not_after, since = fields(value, 5, "a key")
        require(type(suite) is int and 0 <= suite <= 255 and type(public) is bytes, "a key has fields of a wrong type")
        return OfficeKey(suite, public, key_id(suite, public), not_before, not_after, since)


@dataclass(frozen=True, slots=True)
class Person:
    """A person who may sign for an office, with the roles held and one key, Ed25519 or SM2.

    A name may be there again with another key, when the one before is over: what was signed with it still verifies.
    """

    name: str
    roles: tuple[str, ...]
    public: bytes
    key_id: KeyId
    not_before_us: int
    not_after_us: int
    revoked_since_us: int | None = None

    def __post_init__(self) -> None:
        require(is_name(self.name), "a person's name is empty, too long or not printable")
        require(all(role in ROLES for role in self.roles), f"a role of {self.name} is unknown")
        require(
            len(self.roles) > 0 and len(set(self.roles)) == len(self.roles), f"roles of {self.name}: none, or twice"
        )
        _require_key(self.suite, self.public, self.key_id, self.not_before_us, self.not_after_us, self.revoked_since_us)

    @property
    def suite(self) -> int:
        """Number of the signature algorithm, which is not on the wire: the key's length says it."""
        return _suite_of(self.public)

    @property
    def ends_us(self) -> int:
        """From when on no signature of this key counts."""
        return self.not_after_us if self.revoked_since_us is None else min(self.not_after_us, self.revoked_since_us)

    @staticmethod
    def of(name: str, roles: tuple[str, ...], public: bytes, not_before_us: int, not_after_us: int) -> "Person":
        """A person with the id of the key. Raises `RemoteError` like the constructor."""
        return Person(name, roles, public, key_id(_suite_of(public), public), not_before_us, not_after_us)

    def valid_at(self, at_us: int) -> bool:
        """Whether a signature made by this person at this time counts."""
        revoked = self.revoked_since_us is not None and at_us >= self.revoked_since_us
        return self.not_before_us <= at_us < self.not_after_us and not revoked

    def encode(self) -> dict[int, Any]:
        """The wire map."""
        return {
            0: self.name, 1: [ROLES.index(role) for role in self.roles], 2: self.public,
            3: self.not_before_us, 4: self.not_after_us, 5: self.revoked_since_us,
        }  # fmt: skip

    @staticmethod
    def decode(value: object) -> "Person":
        """The person of a wire map; raises `RemoteError` MALFORMED."""
        name, roles, public, not_before, not_after, since = fields(value, 6, "a person")
        require(type(public) is bytes, "a person's key is not a byte string")
        named = tuple(choice(role, ROLES, "a role") for role in items(roles, len(ROLES), "roles"))
        return Person(name, named, public, key_id(_suite_of(public), public), not_before, not_after, since)


@dataclass(frozen=True, slots=True)
class OfficeRecord:
    """An office. `id` stays for life; `address` and `name` may change; `parent` and `successor` name other offices.

    `brokers` are the ids of the brokers it is attached to. `revoked_since_us` is set exactly when `state` is revoked.
    `former` are the addresses that it had before, the first one first; a `successor` has taken its tasks over.
    """

    id: OfficeId
    address: Address
    name: str
    office_class: str
    parent: OfficeId | None
    standing: str | None
    brokers: tuple[str, ...]
    keys: tuple[OfficeKey, ...]
    persons: tuple[Person, ...] = ()
    successor: OfficeId | None = None
    state: str = "active"
    revoked_since_us: int | None = None
    former: tuple[Address, ...] = ()

    def __post_init__(self) -> None:
        require(_is_office_id(self.id), "an office id is not 16 bytes")
        require(type(self.address) is str and is_address(self.address), "an address is malformed")
        require(is_name(self.name), f"the name of {self.address} is empty, too long or not printable")
        require(self.office_class in OFFICE_CLASSES, f"the class of {self.address} is unknown")
        require(self.parent is None or _is_office_id(self.parent), f"the parent of {self.address} is no office id")
        require(self.parent != self.id, f"{self.address} is its own parent")
        require(self.standing is None or self.standing in STANDINGS, f"the standing of {self.address} is unknown")
        require(all(is_broker(broker) for broker in self.brokers), f"a broker id of {self.address} is malformed")
        require(len(set(self.brokers)) == len(self.brokers), f"{self.address} names a broker twice")
        require(
            len(self.brokers) <= OFFICE_BROKERS
            and len(self.keys) <= OFFICE_KEYS
            and len(self.persons) <= OFFICE_PERSONS,
            f"{self.address} has too many brokers, keys or persons",
        )
        _require_one_key_at_a_time(self.address, self.persons)
        require(self.successor is None or _is_office_id(self.successor), f"the successor of {self.address} is no id")
        require(self.successor != self.id, f"{self.address} is its own successor")
        require(self.state in STATES, f"the state of {self.address} is unknown")
        require(
            (self.state == "revoked") == (self.revoked_since_us is not None),
            f"{self.address} is revoked without a time, or has the time without being revoked",
        )
        require(
            self.revoked_since_us is None or is_time(self.revoked_since_us), f"{self.address}: not a revocation time"
        )
        require(
            len(self.former) <= OFFICE_FORMER and all(type(one) is str and is_address(one) for one in self.former),
            f"the former addresses of {self.address} are malformed or too many",
        )
        require(len(set(self.former)) == len(self.former), f"{self.address} has a former address twice")

    @property
    def call_sign(self) -> Address:
        """The first address that it had: its name on brokers and in certificates, whatever it is called since."""
        return self.former[0] if self.former else self.address

    def person(self, name: str) -> Person | None:
        """The person of that name with the latest key, or None."""
        named = [person for person in self.persons if person.name == name]
        return max(named, key=lambda person: person.not_before_us, default=None)

    def key(self, key_id: bytes) -> OfficeKey | None:
        """The office's key with this id, whatever its validity, or None."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def person_by_key(self, key_id: bytes) -> Person | None:
        """The person with this key, whatever its validity, or None."""
        return next((person for person in self.persons if person.key_id == key_id), None)

    def encode(self) -> dict[int, Any]:
        """The wire map."""
        return {
            0: self.id,
            1: self.address,
            2: self.name,
            3: OFFICE_CLASSES.index(self.office_class),
            4: self.parent,
            5: None if self.standing is None else STANDINGS.index(self.standing),
            6: list(self.brokers),
            7: [key.encode() for key in self.keys],
            8: [person.encode() for person in self.persons],
            9: self.successor,
            10: STATES.index(self.state),
            11: self.revoked_since_us,
            12: list(self.former),
        }

    @staticmethod
    def decode(value: object) -> "OfficeRecord":
        """The office of a wire map; raises `RemoteError` MALFORMED."""
        (id_, address, name, class_, parent, standing, brokers, keys, persons, successor, state, since, former) = (
            fields(value, 13, "an office")
        )
        return OfficeRecord(
            id=id_,
            address=address,
            name=name,
            office_class=choice(class_, OFFICE_CLASSES, "a class"),
            parent=parent,
            standing=None if standing is None else choice(standing, STANDINGS, "a standing"),
            brokers=tuple(items(brokers, OFFICE_BROKERS, "brokers")),
            keys=tuple(OfficeKey.decode(key) for key in items(keys, OFFICE_KEYS, "keys")),
            persons=tuple(Person.decode(person) for person in items(persons, OFFICE_PERSONS, "persons")),
            successor=successor,
            state=choice(state, STATES, "a state"),
            revoked_since_us=since,
            former=tuple(items(former, OFFICE_FORMER, "former addresses")),
        )


def _require_one_key_at_a_time(address: Address, persons: tuple[Person, ...]) -> None:
    """Persons of one name are one person, whose keys follow each other."""
    ended: dict[str, int] = {}
    for person in sorted(persons, key=lambda person: person.not_before_us):
        before_us = ended.get(person.name)
        require(
            before_us is None or before_us <= person.not_before_us, f"{address} has two persons of one name at a time"
        )
        ended[person.name] = max(person.ends_us, person.not_before_us)


def is_broker(value: object) -> bool:
    """Whether the value has the form of a broker id."""
    return type(value) is str and _BROKER.fullmatch(value) is not None


def _is_office_id(value: object) -> bool:
    return type(value) is bytes and len(value) == OFFICE_ID_BYTES


def fields(value: object, count: int, what: str) -> list[Any]:
    """The values of a map with exactly the keys 0 to count - 1, in that order; raises `RemoteError` MALFORMED."""
    if not isinstance(value, dict) or value.keys() != set(range(count)):
        raise _malformed(f"{what} is not a map with the keys 0 to {count - 1}")
    return [value[number] for number in range(count)]


def require_version(value: object, version: int, what: str) -> None:
    """Raise `RemoteError` BAD_VERSION for a map whose field 0 is another version; `fields` checks the rest."""
    # true equals 1 in Python and is another byte on the wire, hence the type.
    if isinstance(value, dict) and (type(value.get(0)) is not int or value.get(0) != version):
        raise RemoteError("BAD_VERSION", f"{what} of a version that this program does not know")


def items(value: object, limit: int, what: str) -> list[Any]:
    """The items of an array of at most `limit`; raises `RemoteError` MALFORMED."""
    if not isinstance(value, list) or len(value) > limit:
        raise _malformed(f"{what}: not an array of at most {limit}")
    return value


def choice(value: object, choices: tuple[str, ...], what: str) -> str:
    """The choice with that number; raises `RemoteError` MALFORMED."""
    if type(value) is not int or not 0 <= value < len(choices):
        raise _malformed(f"{what} has an unknown number")
    return choices[value]
