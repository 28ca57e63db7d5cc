"""What a person's own machine says to the administrator: this is my public key, and I hold the private one.

A file of one signed record, which travels by hand. It opens nothing and may be read by anybody; the administrator
compares the key's fingerprint with its owner before the person is added.
"""

from dataclasses import dataclass
from typing import Final

from keys.primitives import key_id, signature_suite
from keys.roster.office_record import is_name
from keys.signer import Signer
from keys.signing import PERSON_REQUEST, UnverifiedRecord, sign_record
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import Address, is_address
from protocol.limits import CLOCK_AHEAD_US, RECORD_BYTES, SECOND_US

VERSION: Final = 1

REQUEST_LIFE_US: Final = 45 * 86_400 * SECOND_US
"""How long a request may be on its way: longer than any courier, and too short for one found in a drawer."""

_NAME_CHARS: Final = 200
_PUBLIC_BYTES: Final = 65
"""Longest public key of a person: an SM2 point."""


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """A person of the office at `address` asks to be known by this key. `at_us` is when it was made."""

    name: str
    address: Address
    public: bytes
    at_us: int


def make_request(key: Signer, name: str, address: Address, at_us: int) -> bytes:
    """The request, signed by the key that it is about."""
    payload = {0: VERSION, 1: name, 2: address, 3: key.public(), 4: at_us}
    return sign_record(key, PERSON_REQUEST, dumps(payload))


def read_request(data: bytes, now_us: int) -> PersonRequest:
    """The request in these bytes, or the first step that fails:

    1. Shape and fields (TOO_LARGE, MALFORMED, BAD_VERSION).
    2. It is signed by the key that it names (BAD_SIGNATURE); the id in its header is that key's (UNKNOWN_KEY).
    3. It is not from the future (NOT_YET) and at most 45 days old (EXPIRED).

    Raises `RemoteError`. Keys of small order fail in step 2.
    """
    record = UnverifiedRecord(data, max_bytes=RECORD_BYTES)
    f = Fields(loads(record.payload, max_bytes=RECORD_BYTES), "person's request")
    f.version(VERSION)
    name, address = f.text(1, _NAME_CHARS), f.text(2, 20)
    request = PersonRequest(name, Address(address), f.blob(3, _PUBLIC_BYTES), f.uint(4))
    f.done()
    if not is_name(name) or not is_address(address):
        raise RemoteError("MALFORMED", "a request names a person and an address")
    record.verify(PERSON_REQUEST, request.public)
    suite = signature_suite(request.public)
    if suite is None or record.key_id != key_id(suite, request.public):
        raise RemoteError("UNKNOWN_KEY", "a request signed under another key's id")
    if request.at_us > now_us + CLOCK_AHEAD_US:
        raise RemoteError("NOT_YET", "a request of the future; compare the clocks")
    if request.at_us + REQUEST_LIFE_US <= now_us:
        raise RemoteError("EXPIRED", "a request older than 45 days; have a new one made")
    return request
