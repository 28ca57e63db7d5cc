"""The directory: one byte form, nothing inconsistent, and what is derived from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from protocol import cbor
from protocol.errors import RemoteError
from protocol.ids import Address, OfficeId
from protocol.limits import DIRECTORY_BYTES
from tests.keys.networks import NOW_US, directories, key_of, make_directory, make_office


@given(directories())
def test_a_directory_survives_its_roster(directory: Directory) -> None:
    roster = directory.encode()
    again = Directory.decode(roster)
    assert again == directory
    assert again.encode() == roster


@given(directories(), st.data())
def test_a_changed_byte_is_refused_or_says_exactly_what_it_changed(directory: Directory, data: st.DataObject) -> None:
    """No two rosters are the same directory, and the decoder raises nothing but its own error."""
    roster = bytearray(directory.encode())
    at = data.draw(st.integers(0, len(roster) - 1))
    roster[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = Directory.decode(bytes(roster))
    except RemoteError:
        return
    assert changed != directory
    assert changed.encode() == bytes(roster)


@given(st.binary(max_size=200))
def test_junk_raises_only_the_decoders_error(junk: bytes) -> None:
    with pytest.raises(RemoteError):
        Directory.decode(junk)


scalars = st.none() | st.booleans() | st.integers(-5, 300) | st.binary(max_size=33) | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 12), inner))


@given(directories(), st.data())
def test_a_value_of_any_type_in_any_place_raises_only_the_decoders_error(
    directory: Directory, data: st.DataObject
) -> None:
    value = cbor.loads(directory.encode(), max_bytes=DIRECTORY_BYTES)
    places = list(_places(value))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(values)
    try:
        changed = Directory.decode(cbor.dumps(value))
    except RemoteError:
        return
    assert changed.encode() == cbor.dumps(value)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a decoded value."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _with(**changes: Any) -> Callable[[], Directory]:
    return lambda: replace(make_directory(), **changes)


def _office(number: int, **changes: Any) -> OfficeRecord:
    return replace(make_office(number), **changes)


def _of(*offices: OfficeRecord) -> Callable[[], Directory]:
    return lambda: make_directory(*offices)


ONE, TWO, THREE = make_office(1), make_office(2), make_office(3)

REFUSED: dict[str, Callable[[], object]] = {
    "an office under another id": _with(offices={ONE.id: TWO}),
    "network id too short": _with(network_id=b"x"),
    "network without a name": _with(network=""),
    "version 0": _with(version=0),
    "time before 1970": _with(issued_us=-1),
    "two offices with one address": _of(ONE, _office(2, address=ONE.address)),
    "one key in two offices": _of(ONE, _office(2, keys=ONE.keys)),
    "a person with the key of an office": _of(
        ONE, _office(2, persons=(Person.of("张三", ("issuer",), key_of(1).public(), 0, 9),))
    ),
    "a parent that does not exist": _of(_office(1, parent=TWO.id)),
    "its own parent": lambda: _office(1, parent=ONE.id),
    "parents in a circle": _of(_office(1, parent=TWO.id), _office(2, parent=THREE.id), _office(3, parent=ONE.id)),
    "a successor that does not exist": _of(_office(1, successor=TWO.id)),
    "successors in a circle": _of(_office(1, successor=TWO.id), _office(2, successor=ONE.id)),
    "a group with an unknown member": _with(groups={"@flood": (OfficeId(bytes(16)),)}),
    "a group with a member twice": _with(groups={"@flood": (ONE.id, ONE.id)}),
    "a group named like a built-in one": _with(groups={"@all": (ONE.id,)}),
    "a group without the sign": _with(groups={"flood": (ONE.id,)}),
    "an unknown class": lambda: _office(1, office_class="village"),
    "an unknown standing": lambda: _office(1, standing="trusted"),
    "an unknown state": lambda: _office(1, state="gone"),
    "revoked without a time": lambda: _office(1, state="revoked"),
    "a revocation time without being revoked": lambda: _office(1, revoked_since_us=1),
    "an address in small letters": lambda: _office(1, address=Address("320000-go")),
    "a name that reorders the text around it": lambda: _office(1, name="省\u202e府"),
    "a name of two lines": lambda: _office(1, name="省\n府"),
    "a broker twice": lambda: _office(1, brokers=("a", "a")),
    "a broker with a slash": lambda: _office(1, brokers=("a/b",)),
    "a key of small order": lambda: OfficeKey.of(b"\x01" + bytes(31), 0, 9),
    "a key of 31 bytes": lambda: OfficeKey.of(bytes(31), 0, 9),
    "a key valid for no time": lambda: OfficeKey.of(key_of(1).public(), 9, 9),
    "a key id of another key": lambda: replace(ONE.keys[0], public=key_of(9).public()),
    "a person without a role": lambda: Person.of("张三", (), key_of(1).public(), 0, 9),
    "a person with an unknown role": lambda: Person.of("张三", ("boss",), key_of(1).public(), 0, 9),
    "a rule for an unknown kind": lambda: Rules(require_reviewer=frozenset({"gossip"})),
    "no suite": lambda: Rules(suites=()),
    "suites out of order": lambda: Rules(suites=(2, 1)),
    "an unknown emergency bypass": lambda: Rules(emergency_bypass="anyone"),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_inconsistent_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(RemoteError, match="MALFORMED"):
        make()


def test_unsorted_offices_are_refused() -> None:
    value = cbor.loads(make_directory().encode(), max_bytes=DIRECTORY_BYTES)
    value[5].reverse()
    with pytest.raises(RemoteError, match="sorted"):
        Directory.decode(cbor.dumps(value))


def test_a_roster_of_another_version_is_named() -> None:
    value = cbor.loads(make_directory().encode(), max_bytes=DIRECTORY_BYTES)
    value[0] = 2
    with pytest.raises(RemoteError, match="BAD_VERSION"):
        Directory.decode(cbor.dumps(value))


def _province() -> Directory:
    province = _office(1, office_class="province", brokers=("province",))
    city = _office(2, office_class="city", parent=province.id, brokers=("province", "yancheng"))
    county = _office(3, parent=city.id, brokers=("yancheng",))
    township = _office(4, office_class="township", parent=county.id, brokers=("yancheng",))
    department = _office(5, office_class="department", parent=province.id, standing="direct")
    gateway = _office(6, office_class="gateway")
    gone = _office(7, state="revoked", revoked_since_us=NOW_US, brokers=("yancheng",))
    offices = (province, city, county, township, department, gateway, gone)
    return replace(make_directory(*offices), groups={"@flood": (county.id, gone.id)})


@pytest.mark.parametrize(
    ("group", "members"),
    [
        ("@all", [1, 2, 3, 4, 5]),
        ("@cities", [2]),
        ("@counties", [3]),
        ("@departments", [5]),
        ("@direct", [5]),
        ("@flood", [3, 7]),
        ("@unknown", []),
    ],
)
def test_groups(group: str, members: list[int]) -> None:
    assert [office.address for office in _province().expand(group)] == [make_office(n).address for n in members]


def test_neighbours_share_a_broker_and_are_not_revoked() -> None:
    directory = _province()
    assert directory.neighbours(make_office(3).id) == {
        make_office(2).id: ("yancheng",),
        make_office(4).id: ("yancheng",),
    }
    assert set(directory.neighbours(make_office(2).id)) == {make_office(n).id for n in (1, 3, 4, 5, 6)}
    assert directory.neighbours(bytes(16)) == {}
    assert directory.brokers() == ("province", "yancheng")


def test_the_city_of_an_office_is_its_nearest_city_above() -> None:
    directory = _province()
    above = {n: directory.city_of(directory.offices[make_office(n).id]) for n in (1, 2, 3, 4, 5)}
    assert {n: city and city.address for n, city in above.items()} == {
        1: None, 2: None, 3: make_office(2).address, 4: make_office(2).address, 5: None,
    }  # fmt: skip


def test_offices_are_found_by_id_and_address() -> None:
    directory = make_directory()
    assert directory.by_id(ONE.id) == directory.by_address(ONE.address) == ONE
    assert directory.by_id(bytes(16)) is None
    assert directory.by_address("999999-GO") is None


def test_g10_a_signing_key_counts_only_for_its_office_and_time() -> None:
    key = OfficeKey.of(key_of(20).public(), 100, 200, revoked_since_us=150)
    whole = OfficeKey.of(key_of(21).public(), 100, 200)
    other = OfficeKey(9, key_of(22).public(), key_id=_key_id(9, key_of(22).public()), not_before_us=0, not_after_us=9)
    office = _office(1, keys=(key, whole, other))
    gone = _office(2, keys=(OfficeKey.of(key_of(23).public(), 100, 200),), state="revoked", revoked_since_us=120)
    directory = make_directory(office, gone)
    assert directory.signing_key(office.id, key.key_id, 100) is key
    assert directory.signing_key(office.id, whole.key_id, 199) is whole
    assert directory.signing_key(gone.id, gone.keys[0].key_id, 119) is gone.keys[0]
    for office_id, key_id, at_us, code in (
        (office.id, key.key_id, 99, "KEY_NOT_VALID"),
        (office.id, key.key_id, 150, "KEY_NOT_VALID"),
        (office.id, whole.key_id, 200, "KEY_NOT_VALID"),
        (gone.id, gone.keys[0].key_id, 120, "KEY_NOT_VALID"),
        (office.id, gone.keys[0].key_id, 110, "UNKNOWN_KEY"),
        (office.id, other.key_id, 5, "BAD_SUITE"),
        (bytes(16), key.key_id, 110, "UNKNOWN_OFFICE"),
    ):
        with pytest.raises(RemoteError, match=code):
            directory.signing_key(office_id, key_id, at_us)


def test_g01_g10_a_key_that_began_later_counts_under_a_copy_while_the_copy_lives() -> None:
    key = OfficeKey.of(key_of(20).public(), 100, 200, revoked_since_us=150)
    stolen = OfficeKey.of(key_of(21).public(), 100, 200, revoked_since_us=100)
    office = _office(1, keys=(key, stolen))
    gone = _office(2, keys=(OfficeKey.of(key_of(23).public(), 100, 200),), state="revoked", revoked_since_us=100)
    directory = make_directory(office, gone)
    for created_us, expires_us in ((50, 101), (99, 300), (100, 101), (149, 300)):
        assert directory.sealing_key(office.id, key.key_id, created_us, expires_us) is key
    for office_id, key_id, created_us, expires_us, code in (
        (office.id, key.key_id, 50, 100, "KEY_NOT_VALID"),
        (office.id, key.key_id, 150, 300, "KEY_NOT_VALID"),
        (office.id, key.key_id, 250, 300, "KEY_NOT_VALID"),
        (office.id, stolen.key_id, 50, 300, "KEY_NOT_VALID"),
        (gone.id, gone.keys[0].key_id, 50, 300, "KEY_NOT_VALID"),
        (office.id, gone.keys[0].key_id, 110, 300, "UNKNOWN_KEY"),
        (bytes(16), key.key_id, 110, 300, "UNKNOWN_OFFICE"),
    ):
        with pytest.raises(RemoteError, match=code):
            directory.sealing_key(office_id, key_id, created_us, expires_us)


def test_a_person_is_found_by_key_and_by_name_at_one_office_only() -> None:
    person = Person.of("张三", ("reviewer",), key_of(30).public(), 100, 200)
    later = Person.of("张三", ("issuer",), key_of(31).public(), 200, 300)
    office = _office(1, persons=(later, person))
    directory = make_directory(office, _office(2))
    assert directory.person_by_key(office.id, person.key_id) is person
    assert directory.person_by_key(_office(2).id, person.key_id) is None
    assert directory.person_by_key(bytes(16), person.key_id) is None
    assert office.person("张三") is later
    assert office.person("李四") is None


def _key_id(suite: int, public: bytes) -> Any:
    from keys.primitives import key_id

    return key_id(suite, public)
