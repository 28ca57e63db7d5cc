"""Enrolment requests: how an office that has made its keys asks to be taken into the network, or to renew them.

A request is a file, canonical CBOR [record, second, inforce]. `record` is a COSE_Sign1 by the new identity key, purpose
`relay/1/request`; `second` the ML-DSA-65 signature over the same payload; `inforce`, for a renewal, a COSE_Sign1 over
SHA-256 of the payload by the identity key in force. The TLS key signs the PKCS #10 request within, under the nonce.
So whoever made the request held every key that it names, and held them together (SPEC "Enrolment").
Pure: no clock, no file. What the network answers is keys/enrol/response.py, what it does is keys/roster/membership.py.
"""

from dataclasses import dataclass, field
from typing import Final

from keys import tls
from keys.mldsa import PUBLIC_BYTES, SIGNATURE_BYTES, SecondKey, verify_mldsa
from keys.primitives import SERVES, is_signing_key, sha256
from keys.roster.office_record import NAME_CHARS, OFFICE_BROKERS, OFFICE_CLASSES, STANDINGS, is_broker, is_name
from keys.signer import Signer
from keys.signing import RENEWAL, REQUEST, UnverifiedRecord, sign_record
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, elements
from protocol.ids import Address, KeyId, OfficeId, is_address
from protocol.limits import CLOCK_AHEAD_US, DIGEST_BYTES, OFFICE_ID_BYTES, RECORD_BYTES, SECOND_US

REQUEST_VERSION: Final = 1
REQUEST_BYTES: Final = 64 * 1024
"""Longest request file: keys and signatures take 7 KiB."""

REQUEST_VALID_MAX_US: Final = 90 * 86_400 * SECOND_US
NONCE_BYTES: Final = 16
KINDS: Final = ("enrol", "renew")
"""What is asked for, in the order of the wire numbers."""

_TLS_REQUEST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Wish:
    """What the office would like to be in the directory; the administrators decide. "" and None: not said."""

    name: str = ""
    office_class: str | None = None
    parent: Address | None = None
    standing: str | None = None
    brokers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """What a request says. `root` is the fingerprint of the root that the office pinned, as bytes."""

    kind: str
    network: str
    root: bytes
    office_id: OfficeId
    address: Address
    wish: Wish
    suite: int
    identity: bytes
    second: bytes
    tls_request: bytes
    nonce: bytes
    created_us: int
    expires_us: int
    data: bytes = field(default=b"", repr=False, compare=False)
    in_force: KeyId | None = None
    """Of a renewal: the id of the key that vouches for it. Only `verify_in_force` says whether it does."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file: what a response answers, and what people compare by telephone."""
        return sha256(self.data)


def make_request(
    said: EnrolmentRequest, identity: Signer, second: SecondKey, in_force: Signer | None = None
) -> EnrolmentRequest:
    """The request signed by all its keys; `said` holds what it says, and its keys must be these.

    Raises `ValueError` for other keys, or for a renewal without the key in force.
    """
    if (said.suite, said.identity, said.second) != (identity.suite, identity.public(), second.public()):
        raise ValueError("a request is signed by the keys that it names")
    if (said.kind == "renew") != (in_force is not None):
        raise ValueError("a renewal, and nothing else, is signed by the key in force")
    payload = _payload(said)
    record = sign_record(identity, REQUEST, payload)
    vouched = None if in_force is None else sign_record(in_force, RENEWAL, sha256(payload))
    data = cbor.dumps([record, second.sign(REQUEST, payload), vouched])
    return parse_request(data)


def parse_request(data: bytes) -> EnrolmentRequest:
    """The request of these bytes, checked for form only: for our own home. Raises `RemoteError` like step 1 below."""
    return _read(data)[0]


def verify_request(data: bytes, now_us: int) -> EnrolmentRequest:
    """The request of a file, or the first step that fails:

    1. It is strict CBOR of three parts with exactly the fields (TOO_LARGE, MALFORMED, BAD_VERSION).
    2. Its identity key is of a suite we know and not weak (BAD_SUITE, WEAK_KEY).
    3. Identity key and second key have signed it (BAD_SIGNATURE), and so has the TLS key, for this address and nonce
       (BAD_SIGNATURE, MALFORMED).
    4. It was made by now, at most 90 days before its end (NOT_YET, BAD_LIFE), which has not come (EXPIRED).

    Whether the network wants it is `keys/roster/membership.py`; whether the key in force vouches, `verify_in_force`.
    """
    request, record, second = _read(data)
    if request.suite not in SERVES:
        raise RemoteError("BAD_SUITE", f"an identity key of suite {request.suite}")
    if not is_signing_key(request.suite, request.identity):
        raise RemoteError("WEAK_KEY", "the identity key is weak, or not in its one form")
    record.verify(REQUEST, request.identity)
    if not verify_mldsa(request.second, second, REQUEST, record.payload):
        raise RemoteError("BAD_SIGNATURE", "not signed by its second key")
    tls_request(request)
    if request.created_us > now_us + CLOCK_AHEAD_US:
        raise RemoteError("NOT_YET", "made more than five minutes ahead of this clock")
    if not 0 < request.expires_us - request.created_us <= REQUEST_VALID_MAX_US:
        raise RemoteError("BAD_LIFE", "a request is valid for at most 90 days")
    if request.expires_us <= now_us:
        raise RemoteError("EXPIRED", "the request is past its validity")
    return request


def tls_request(request: EnrolmentRequest) -> tls.CertificateRequest:
    """Its certificate request. Raises `RemoteError` BAD_SIGNATURE, or MALFORMED for one of another office or nonce."""
    try:
        found = tls.read_request(request.tls_request)
    except ValueError as error:
        raise RemoteError("BAD_SIGNATURE", f"certificate request: {error}") from error
    if found.address != request.address or found.nonce != request.nonce:
        raise RemoteError("MALFORMED", "the certificate request is of another office or another enrolment request")
    return found


def verify_in_force(request: EnrolmentRequest, public: bytes) -> None:
    """Raises `RemoteError` BAD_SIGNATURE unless that key, which `in_force` names, vouches for this renewal."""
    parts = cbor.loads(request.data, max_bytes=REQUEST_BYTES)
    record = UnverifiedRecord(parts[0], max_bytes=RECORD_BYTES)
    if parts[2] is None:
        raise RemoteError("BAD_SIGNATURE", "no key in force vouches for it")
    vouched = UnverifiedRecord(parts[2], max_bytes=RECORD_BYTES)
    vouched.verify(RENEWAL, public)
    if vouched.payload != sha256(record.payload):
        raise RemoteError("BAD_SIGNATURE", "the key in force vouches for another request")


def _payload(said: EnrolmentRequest) -> bytes:
    """The signed fields."""
    wish = said.wish
    return cbor.dumps(
        {
            0: REQUEST_VERSION,
            1: KINDS.index(said.kind),
            2: said.network,
            3: said.root,
            4: said.office_id,
            5: said.address,
            6: wish.name,
            7: None if wish.office_class is None else OFFICE_CLASSES.index(wish.office_class),
            8: wish.parent,
            9: None if wish.standing is None else STANDINGS.index(wish.standing),
            10: list(wish.brokers),
            11: said.suite,
            12: said.identity,
            13: said.second,
            14: said.tls_request,
            15: said.nonce,
            16: said.created_us,
            17: said.expires_us,
        }
    )


def _read(data: bytes) -> tuple[EnrolmentRequest, UnverifiedRecord, bytes]:
    """Step 1: (what the file says, the identity key's record, the second signature); raises `RemoteError`."""
    parts = elements(cbor.loads(data, max_bytes=REQUEST_BYTES), 3, "request")
    record = UnverifiedRecord(as_bytes(parts[0], "request record"), max_bytes=RECORD_BYTES)
    second = as_bytes(parts[1], "second signature", SIGNATURE_BYTES)
    vouched = None if parts[2] is None else UnverifiedRecord(as_bytes(parts[2], "voucher"), max_bytes=RECORD_BYTES)
    fields = Fields(cbor.loads(record.payload, max_bytes=RECORD_BYTES), "request")
    fields.version(REQUEST_VERSION)
    request = EnrolmentRequest(
        kind=KINDS[fields.uint(1, len(KINDS) - 1)],
        network=fields.text(2, NAME_CHARS),
        root=fields.fixed(3, DIGEST_BYTES),
        office_id=OfficeId(fields.fixed(4, OFFICE_ID_BYTES)),
        address=Address(fields.text(5, NAME_CHARS)),
        wish=Wish(
            name=fields.text(6, NAME_CHARS),
            office_class=_chosen(fields.optional_uint(7, len(OFFICE_CLASSES) - 1), OFFICE_CLASSES),
            parent=_optional_address(fields.optional_text(8, NAME_CHARS)),
            standing=_chosen(fields.optional_uint(9, len(STANDINGS) - 1), STANDINGS),
            brokers=fields.texts(10, OFFICE_BROKERS, NAME_CHARS),
        ),
        suite=fields.uint(11, 255),
        identity=fields.blob(12, 256),
        second=fields.fixed(13, PUBLIC_BYTES),
        tls_request=fields.blob(14, _TLS_REQUEST_BYTES),
        nonce=fields.fixed(15, NONCE_BYTES),
        created_us=fields.uint(16),
        expires_us=fields.uint(17),
        data=data,
        in_force=None if vouched is None else vouched.key_id,
    )
    fields.done()
    _require_sense(request)
    return request, record, second


def _require_sense(request: EnrolmentRequest) -> None:
    """What is well typed and still cannot be; raises `RemoteError` MALFORMED."""
    wish = request.wish
    parts = (request.address, *([] if wish.parent is None else [wish.parent]))
    if not all(is_address(address) for address in parts):
        raise RemoteError("MALFORMED", "an address of the request is malformed")
    if not is_name(request.network) or (wish.name and not is_name(wish.name)):
        raise RemoteError("MALFORMED", "a name of the request is empty or not printable")
    if not all(is_broker(broker) for broker in wish.brokers) or len(set(wish.brokers)) != len(wish.brokers):
        raise RemoteError("MALFORMED", "a broker of the request is malformed or there twice")
    if (request.kind == "renew") != (request.in_force is not None):
        raise RemoteError("MALFORMED", "a renewal, and nothing else, carries a voucher of the key in force")


def _chosen(number: int | None, choices: tuple[str, ...]) -> str | None:
    return None if number is None else choices[number]


def _optional_address(text: str | None) -> Address | None:
    return None if text is None else Address(text)
