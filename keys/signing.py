"""COSE_Sign1 with a purpose (RFC 9052 section 4.4, SPEC section 3): one signed record, one meaning.

A record is the untagged array [protected, {}, payload, signature] in canonical CBOR. The protected header is
{1: algorithm, 4: key id}; the algorithm is -19 (Ed25519, RFC 9864) or -70010 (SM2 with SM3, of the private range) and
must be that of the key. The external data is the purpose string, so that a signature made
for one purpose never verifies for another (G10).
"""

from collections.abc import Callable
from typing import Final

from keys.gm import GmMissing, verify_sm2
from keys.primitives import ED25519, SUITE_SM2, signature_suite, verify_ed25519
from keys.signer import Signer
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.ids import KeyId
from protocol.limits import KEY_ID_BYTES

ALGORITHMS: Final = {ED25519: -19, SUITE_SM2: -70010}
"""COSE algorithm by the number that the directory gives the key's."""

CONTENT: Final = "relay/1/content"
COPY: Final = "relay/1/copy"
FRAME: Final = "relay/1/frame"
RECEIPT: Final = "relay/1/receipt"
PRESENCE: Final = "relay/1/presence"
PREKEY: Final = "relay/1/prekey"
APPROVAL: Final = "relay/1/approval"
SIGNED_FOR: Final = "relay/1/signed-for"
PERSON_REQUEST: Final = "relay/1/person-request"
AUDIT: Final = "relay/1/audit"
REQUEST: Final = "relay/1/request"
RENEWAL: Final = "relay/1/renewal"
RESPONSE: Final = "relay/1/response"

_PROTECTED: Final = {
    suite: dumps({1: number, 4: bytes(KEY_ID_BYTES)})[:-KEY_ID_BYTES] for suite, number in ALGORITHMS.items()
}
"""Every protected header up to its key id."""


def _to_be_signed(protected: bytes, purpose: str, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4."""
    return dumps(["Signature1", protected, purpose.encode(), payload])


def sign_record(key: Signer, purpose: str, payload: bytes) -> bytes:
    """The signed record of `payload`."""
    protected = _PROTECTED[key.suite] + key.key_id()
    signature = key.sign(_to_be_signed(protected, purpose, payload))
    return dumps([protected, {}, payload, signature])


class UnverifiedRecord:
    """A parsed record: its payload must be read to know whose key to ask for, and trusted only after `verify`."""

    __slots__ = ("_protected", "_signature", "_suite", "key_id", "payload")

    def __init__(self, data: bytes, *, max_bytes: int) -> None:
        """Raises `RemoteError` TOO_LARGE or MALFORMED."""
        value = loads(data, max_bytes=max_bytes)
        if not isinstance(value, list) or len(value) != 4 or value[1] != {}:
            raise RemoteError("MALFORMED", "not a COSE_Sign1 with an empty unprotected header")
        protected, _, payload, signature = value
        if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
            raise RemoteError("MALFORMED", "COSE_Sign1 parts must be byte strings")
        # Canonical CBOR has one form, so the header is compared as bytes: {1: algorithm, 4: 16 bytes}.
        before, key_id = protected[:-KEY_ID_BYTES], protected[-KEY_ID_BYTES:]
        suite = next((suite for suite, known in _PROTECTED.items() if known == before), None)
        if suite is None:
            raise RemoteError("MALFORMED", "protected header must be {1: known algorithm, 4: key id of 16 bytes}")
        self._protected = protected
        self._signature = signature
        self._suite = suite
        self.payload = payload
        self.key_id = KeyId(key_id)

    def verify(self, purpose: str, public: bytes) -> None:
        """Raises `RemoteError` BAD_SIGNATURE unless `public` signed this payload for this purpose.

        The algorithm is that of the key, and the record must name the same. BAD_SUITE for one that needs the extra `gm`
        where that is not installed.
        """
        if signature_suite(public) != self._suite:
            raise RemoteError("BAD_SIGNATURE", "another algorithm than that of the key")
        data = _to_be_signed(self._protected, purpose, self.payload)
        if not _is_signature(self._suite, public, self._signature, data):
            raise RemoteError("BAD_SIGNATURE", f"not signed for {purpose}")


def _is_signature(suite: int, public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the signature is by that key of that algorithm."""
    if suite != SUITE_SM2:
        return verify_ed25519(public, signature, data)
    try:
        return verify_sm2(public, signature, data)
    except GmMissing as error:
        raise RemoteError("BAD_SUITE", "SM2 signatures are not verified here: the extra gm is missing") from error


def open_record(data: bytes, purpose: str, public_for: Callable[[KeyId], bytes], *, max_bytes: int) -> bytes:
    """The payload of a record whose key the caller knows by its id.

    `public_for` returns the public bytes or raises `RemoteError` UNKNOWN_KEY.
    Raises `RemoteError` TOO_LARGE, MALFORMED or BAD_SIGNATURE.
    """
    record = UnverifiedRecord(data, max_bytes=max_bytes)
    record.verify(purpose, public_for(record.key_id))
    return record.payload
