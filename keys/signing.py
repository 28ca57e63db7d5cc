"""COSE_Sign1 with a purpose (RFC 9052 section 4.4, SPEC section 3): one signed record, one meaning.

A record is the untagged array [protected, {}, payload, signature] in canonical CBOR. The protected header
is {1: -19 (Ed25519, RFC 9864), 4: key id}. The external data is the purpose string, so that a signature made
for one purpose never verifies for another (G10).
"""

from collections.abc import Callable
from typing import Final

from keys.primitives import verify_ed25519
from keys.signer import Signer
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.ids import KeyId
from protocol.limits import KEY_ID_BYTES

ED25519: Final = -19

CONTENT: Final = "relay/1/content"
COPY: Final = "relay/1/copy"
FRAME: Final = "relay/1/frame"
RECEIPT: Final = "relay/1/receipt"
PRESENCE: Final = "relay/1/presence"
PREKEY: Final = "relay/1/prekey"
PERSON: Final = "relay/1/person"
AUDIT: Final = "relay/1/audit"
REQUEST: Final = "relay/1/request"
RENEWAL: Final = "relay/1/renewal"
RESPONSE: Final = "relay/1/response"

_PROTECTED: Final = dumps({1: ED25519, 4: bytes(KEY_ID_BYTES)})[:-KEY_ID_BYTES]
"""Every protected header up to its key id."""


def _to_be_signed(protected: bytes, purpose: str, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4."""
    return dumps(["Signature1", protected, purpose.encode(), payload])


def sign_record(key: Signer, purpose: str, payload: bytes) -> bytes:
    """The signed record of `payload`."""
    protected = _PROTECTED + key.key_id()
    signature = key.sign(_to_be_signed(protected, purpose, payload))
    return dumps([protected, {}, payload, signature])


class UnverifiedRecord:
    """A parsed record: its payload must be read to know whose key to ask for, and trusted only after `verify`."""

    __slots__ = ("_protected", "_signature", "key_id", "payload")

    def __init__(self, data: bytes, *, max_bytes: int) -> None:
        """Raises `RemoteError` TOO_LARGE or MALFORMED."""
        value = loads(data, max_bytes=max_bytes)
        if not isinstance(value, list) or len(value) != 4 or value[1] != {}:
            raise RemoteError("MALFORMED", "not a COSE_Sign1 with an empty unprotected header")
        protected, _, payload, signature = value
        if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
            raise RemoteError("MALFORMED", "COSE_Sign1 parts must be byte strings")
        # Canonical CBOR has one form, so the header is compared as bytes: {1: -19, 4: 16 bytes}.
        if not protected.startswith(_PROTECTED) or len(protected) != len(_PROTECTED) + KEY_ID_BYTES:
            raise RemoteError("MALFORMED", "protected header must be {1: -19, 4: key id of 16 bytes}")
        self._protected = protected
        self._signature = signature
        self.payload = payload
        self.key_id = KeyId(protected[len(_PROTECTED) :])

    def verify(self, purpose: str, public: bytes) -> None:
        """Raises `RemoteError` BAD_SIGNATURE unless `public` signed this payload for this purpose."""
        if not verify_ed25519(public, self._signature, _to_be_signed(self._protected, purpose, self.payload)):
            raise RemoteError("BAD_SIGNATURE", f"not signed for {purpose}")


def open_record(data: bytes, purpose: str, public_for: Callable[[KeyId], bytes], *, max_bytes: int) -> bytes:
    """The payload of a record whose key the caller knows by its id.

    `public_for` returns the 32 public bytes or raises `RemoteError` UNKNOWN_KEY.
    Raises `RemoteError` TOO_LARGE, MALFORMED or BAD_SIGNATURE.
    """
    record = UnverifiedRecord(data, max_bytes=max_bytes)
    record.verify(purpose, public_for(record.key_id))
    return record.payload
