"""What the network answers to an enrolment request: taken in, with all that a home needs, or refused with a reason.

A response is a file: a COSE_Sign1 by a snapshot key of the network, purpose `relay/1/response`. The trust files are in
it; its signature counts under the root that the office pinned when it made its keys, so a response can be carried by
anyone over anything. Wire form: SPEC, "Enrolment". Pure: no clock, no file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keys.primitives import key_id
from keys.roster.office_record import NAME_CHARS, OFFICE_BROKERS, is_broker, is_name
from keys.signer import Signer
from keys.signing import RESPONSE, UnverifiedRecord, sign_record
from keys.trust.chain import chain_roots, verify_root
from keys.trust.metadata import (
    METADATA_BYTES,
    TrustError,
    is_trust_file,
    publics_in,
    root_file,
    root_version,
    size_limit,
)
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, as_text, elements
from protocol.ids import Address, OfficeId, is_address
from protocol.limits import DIGEST_BYTES, DIRECTORY_BYTES, OFFICE_ID_BYTES, TEXT_CHARS

RESPONSE_VERSION: Final = 1
RESPONSE_BYTES: Final = DIRECTORY_BYTES + 16 * METADATA_BYTES
"""Longest response: the largest roster, the metadata, and room for a chain of roots."""

_CERTIFICATE_BYTES: Final = 16 * 1024
_HOST_CHARS: Final = 253
_FILES: Final = 1_000 + 6
_ENGINES: Final = ("mosquitto", "nats", "rabbitmq")


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """Where a broker is reached, as one office's relay.toml says it."""

    id: str
    engine: str
    host: str
    port: int
    tls: bool
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class EnrolmentResponse:
    """What a response says. `certificate` and `authority` are PEM; without them the request was refused for `reason`.

    `request` is SHA-256 of the request file that is answered. `files` are the network's trust files by name.
    """

    request: bytes
    network: str
    address: Address
    office_id: OfficeId
    issued_us: int
    files: Mapping[str, bytes] = field(repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    authority: bytes | None = field(default=None, repr=False)
    brokers: tuple[BrokerPlace, ...] = ()
    reason: str = ""

    @property
    def approved(self) -> bool:
        """Whether the office was taken in."""
        return self.certificate is not None


def make_response(said: EnrolmentResponse, key: Signer) -> bytes:
    """The file of this response, signed by a snapshot key."""
    return sign_record(key, RESPONSE, encode_response(said))


def encode_response(said: EnrolmentResponse) -> bytes:
    """The payload that is signed."""
    payload = {
        0: RESPONSE_VERSION,
        1: said.request,
        2: said.network,
        3: said.address,
        4: said.office_id,
        5: said.issued_us,
        6: said.certificate,
        7: said.authority,
        8: [[one.id, one.engine, one.host, one.port, one.tls, one.server_name] for one in said.brokers],
        9: said.reason,
        10: [[name, said.files[name]] for name in sorted(said.files)],
    }
    return cbor.dumps(payload)


def verify_response(data: bytes, root: bytes | str) -> EnrolmentResponse:
    """The response of a file, under the pinned root (a root file, or its fingerprint), or the first step that fails:

    1. It is a strict COSE_Sign1 with exactly the fields (TOO_LARGE, MALFORMED, BAD_VERSION).
    2. Its trust files lead from the pinned root to a newest one (`TrustError`, TRUST_FOREIGN for another network's).
    3. A snapshot key of the newest root has signed it (UNKNOWN_KEY, BAD_SIGNATURE).

    Whether the trust files themselves verify is for `TrustStore`; whether it answers our request, for the home.
    """
    record = UnverifiedRecord(data, max_bytes=RESPONSE_BYTES)
    response = decode_response(record.payload)
    newest = chain_roots(pinned_root(response.files, root), response.files)[-1]
    for public in publics_in(newest, "snapshot"):
        if key_id(0, public) == record.key_id:
            record.verify(RESPONSE, public)
            return response
    raise RemoteError("UNKNOWN_KEY", "not signed by a snapshot key of the newest root")


def pinned_root(files: Mapping[str, bytes], root: bytes | str) -> bytes:
    """The root file to start from: the given one, or the first among `files` with that fingerprint, in hex.

    Raises `TrustError` TRUST_FOREIGN when there is none.
    """
    if isinstance(root, bytes):
        return root
    for version in sorted(version for name in files if (version := root_version(name)) is not None):
        data = files[root_file(version)]
        if verify_root(data)[1] == root:
            return data
    raise TrustError("TRUST_FOREIGN", "no root in the response has the fingerprint that this office was given")


def decode_response(payload: bytes) -> EnrolmentResponse:
    """What a payload says, checked for form only; raises `RemoteError` TOO_LARGE, MALFORMED or BAD_VERSION."""
    fields = Fields(cbor.loads(payload, max_bytes=RESPONSE_BYTES), "response")
    fields.version(RESPONSE_VERSION)
    response = EnrolmentResponse(
        request=fields.fixed(1, DIGEST_BYTES),
        network=fields.text(2, NAME_CHARS),
        address=Address(fields.text(3, NAME_CHARS)),
        office_id=OfficeId(fields.fixed(4, OFFICE_ID_BYTES)),
        issued_us=fields.uint(5),
        certificate=fields.optional_blob(6, _CERTIFICATE_BYTES),
        authority=fields.optional_blob(7, _CERTIFICATE_BYTES),
        brokers=tuple(_broker(value) for value in fields.array(8, OFFICE_BROKERS)),
        reason=fields.text(9, TEXT_CHARS),
        files=dict(_files(fields.array(10, _FILES))),
    )
    fields.done()
    if not is_address(response.address) or not is_name(response.network):
        raise RemoteError("MALFORMED", "address or network of the response is malformed")
    if (response.certificate is None) != (response.authority is None):
        raise RemoteError("MALFORMED", "a response has a certificate and its authority, or neither")
    if response.approved == bool(response.reason) or (response.reason and not is_name(response.reason)):
        raise RemoteError("MALFORMED", "a response has a certificate or a reason on one line, one of the two")
    return response


def _files(values: list[Any]) -> Iterator[tuple[str, bytes]]:
    """The trust files, sorted by name; raises `RemoteError`."""
    last = ""
    for value in values:
        pair = elements(value, 2, "trust file")
        name = as_text(pair[0], "name of a trust file", 64)
        if name <= last or not is_trust_file(name):
            raise RemoteError("MALFORMED", "trust files are unknown, not sorted, or there twice")
        data = as_bytes(pair[1], name)
        if len(data) > size_limit(name):
            raise RemoteError("TOO_LARGE", name)
        last = name
        yield name, data


def _broker(value: Any) -> BrokerPlace:
    """One broker; raises `RemoteError`."""
    id_, engine, host, port, encrypted, server_name = elements(value, 6, "broker")
    if not is_broker(id_) or engine not in _ENGINES or type(encrypted) is not bool:
        raise RemoteError("MALFORMED", "a broker of the response is malformed")
    if type(port) is not int or not 1 <= port <= 65_535:
        raise RemoteError("MALFORMED", "a broker's port is none")
    host = as_text(host, "host", _HOST_CHARS)
    server_name = as_text(server_name, "server name", _HOST_CHARS)
    if not host or not (host + server_name).isprintable():
        raise RemoteError("MALFORMED", "a broker's host is empty or not printable")
    return BrokerPlace(id_, engine, host, port, encrypted, server_name)
