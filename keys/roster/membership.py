"""Taking offices into the directory: a pure change for any number of verified requests at once.

What the administrators decide (class, parent, standing, brokers, name) goes over what the office wished. Running the
same change again, as the second administrator does, changes nothing (keys/trust/sitting.py signs what comes out).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keys.enrol.enrolment import EnrolmentRequest, verify_in_force
from keys.mldsa import MLDSA
from keys.primitives import key_id, sha256
from keys.roster.directory import OFFICES, Directory
from keys.roster.office_record import OfficeKey, OfficeRecord
from protocol import cbor
from protocol.errors import Refused, RemoteError
from protocol.ids import Address, OfficeId
from protocol.limits import SECOND_US

KEY_LIFE_US: Final = 730 * 86_400 * SECOND_US
"""Validity of an office's signing keys: two years, renewed well before."""

KEY_SLACK_US: Final = 600 * SECOND_US
"""Keys begin this much before they are approved: clocks of offices drift, and certificates begin as early."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the administrators set for every request of a batch; None leaves it as the office wished."""

    name: str | None = None
    office_class: str | None = None
    parent: Address | None = None
    standing: str | None = None
    brokers: tuple[str, ...] | None = None


def admit(
    directory: Directory,
    requests: Sequence[EnrolmentRequest],
    decision: Decision,
    now_us: int,
    *,
    reserved: Collection[bytes] = (),
) -> Directory:
    """The directory with these offices in it, or with their renewed keys.

    `reserved` are public keys that no office may have: those of the root's roles. Parents may be in the same batch.
    Raises `Refused` for the first request that cannot be taken, `field` being its address: WRONG_NETWORK,
    ADDRESS_TAKEN, KEY_REUSED, BAD_REQUEST (a key of no allowed suite), BAD_FIELD (class, parent or brokers that cannot
    be), TOO_LARGE, or for a renewal NOT_FOUND and BAD_REQUEST.
    """
    _require_apart(directory, requests, reserved)
    offices = dict(directory.offices)
    batch = {request.address: request.office_id for request in requests}
    for request in requests:
        made = _renewed(directory, request, now_us) if request.kind == "renew" else None
        made = made or _known(directory, request) or _new_office(directory, request, decision, batch, now_us)
        offices[made.id] = made
    if len(offices) > OFFICES:
        raise Refused("TOO_LARGE", f"a network has at most {OFFICES} offices")
    try:
        return replace(directory, offices=offices)
    except RemoteError as error:
        # Each record is sound by itself: what is left is a parent that would be its own ancestor.
        raise Refused("BAD_FIELD", error.detail, field="parent") from error


def admitted(directory: Directory, request: EnrolmentRequest) -> bool:
    """Whether the directory holds this very request's office and identity key."""
    return _known(directory, request) is not None


def second_key_id(public: bytes) -> bytes:
    """What the directory holds in the place of an ML-DSA key: its SHA-256, since the key itself has 1,952 bytes."""
    return sha256(public)


def _require_apart(directory: Directory, requests: Sequence[EnrolmentRequest], reserved: Collection[bytes]) -> None:
    """No address, office or key twice, in the batch, in the directory or in two roles; raises `Refused`."""
    holders: dict[bytes, OfficeId | None] = dict.fromkeys(reserved)
    for office in directory.offices.values():
        holders |= {key.public: office.id for key in office.keys}
        holders |= dict.fromkeys((person.public for person in office.persons), None)
    addresses: set[str] = set()
    for request in requests:
        if request.network != directory.network:
            raise Refused("WRONG_NETWORK", f"a request to network {request.network}", field=request.address)
        if not directory.allows(request.suite):
            raise Refused("BAD_REQUEST", "the network allows no suite of its identity key", field=request.address)
        if request.address in addresses:
            raise Refused("ADDRESS_TAKEN", "two requests of this batch are for it", field=request.address)
        addresses.add(request.address)
        keys = [request.identity, second_key_id(request.second)]
        renews = request.kind == "renew"
        for public in keys:
            if public in holders and (
                holders[public] != request.office_id or not (renews or admitted(directory, request))
            ):
                raise Refused("KEY_REUSED", "a key of it is used already", field=request.address)
        holders |= dict.fromkeys(keys, request.office_id)
        other = directory.by_address(request.address)
        if other is not None and (other.id != request.office_id or not (renews or admitted(directory, request))):
            raise Refused("ADDRESS_TAKEN", "an office of the network has it", field=request.address)
        if directory.by_id(request.office_id) is not None and not renews and not admitted(directory, request):
            raise Refused("ADDRESS_TAKEN", "its office id is another office's", field=request.address)


def _known(directory: Directory, request: EnrolmentRequest) -> OfficeRecord | None:
    """The office as the directory already has it by this very request."""
    office = directory.by_id(request.office_id)
    wanted = {request.identity, second_key_id(request.second)}
    if office is None or not wanted <= {key.public for key in office.keys}:
        return None
    return office if request.address in directory.names_of(office.id) else None


def _new_office(
    directory: Directory,
    request: EnrolmentRequest,
    decision: Decision,
    batch: dict[Address, OfficeId],
    now_us: int,
) -> OfficeRecord:
    """The record of an office that is taken in; raises `Refused` BAD_FIELD."""
    wish = request.wish
    class_ = decision.office_class or wish.office_class
    if class_ is None:
        raise Refused("BAD_FIELD", f"the class of {request.address} is not said, neither there nor here", field="class")
    parent = decision.parent or wish.parent
    above = None if parent is None else batch.get(parent)
    if parent is not None and above is None:
        office = directory.by_address(parent)
        if office is None:
            raise Refused("BAD_FIELD", f"{parent} is not in the directory", field="parent")
        above = office.id
    try:
        return OfficeRecord(
            id=request.office_id,
            address=request.address,
            name=decision.name or wish.name or request.address,
            office_class=class_,
            parent=above,
            standing=decision.standing or wish.standing,
            brokers=wish.brokers if decision.brokers is None else decision.brokers,
            keys=_keys(request, now_us),
        )
    except RemoteError as error:
        raise Refused("BAD_FIELD", error.detail, field=request.address) from error


def _renewed(directory: Directory, request: EnrolmentRequest, now_us: int) -> OfficeRecord:
    """The record with the new keys beside the old ones, which stay valid for what they signed; raises `Refused`."""
    office = directory.by_id(request.office_id)
    if office is None or request.address not in directory.names_of(office.id):
        raise Refused("NOT_FOUND", "no office of the network has this id and address", field=request.address)
    vouching = next((key for key in office.keys if key.key_id == request.in_force), None)
    if office.state == "revoked" or vouching is None or not vouching.valid_at(now_us):
        raise Refused("BAD_REQUEST", "no key in force vouches for this renewal", field=request.address)
    try:
        verify_in_force(request, vouching.public)
    except RemoteError as error:
        raise Refused("BAD_REQUEST", error.detail, field=request.address) from error
    held = {key.public for key in office.keys}
    fresh = tuple(key for key in _keys(request, now_us) if key.public not in held)
    return replace(office, keys=(*fresh, *office.keys))


def office_keys(
    suite: int, identity: bytes, second: bytes, not_before_us: int, not_after_us: int
) -> tuple[OfficeKey, OfficeKey]:
    """An office's identity key and its second key (the whole ML-DSA key) as the directory holds them."""
    digest = second_key_id(second)
    return (
        OfficeKey(suite, identity, key_id(suite, identity), not_before_us, not_after_us),
        OfficeKey(MLDSA, digest, key_id(MLDSA, digest), not_before_us, not_after_us),
    )


def _keys(request: EnrolmentRequest, now_us: int) -> tuple[OfficeKey, OfficeKey]:
    """The request's keys, valid from now on."""
    start, end = max(0, now_us - KEY_SLACK_US), now_us + KEY_LIFE_US
    return office_keys(request.suite, request.identity, request.second, start, end)


def office_fingerprint(identity: bytes, second: bytes) -> bytes:
    """What people compare of an office's keys: SHA-256 over its identity key and the directory's form of its second."""
    return sha256(b"relay/1/office" + cbor.dumps([identity, second]))
