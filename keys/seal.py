"""Sealing and opening of a copy: COSE_Encrypt with one key-encryption recipient (RFC 9052 section 5, D5, SPEC 5).

The body is encrypted once with a fresh AES-256-GCM or SM4-GCM key under the clear header as external data; that key is
wrapped to the recipient's prekey by HPKE or SM2, with the suite and the header's hash in what the wrap's key is derived
from. So neither body nor wrap can be moved under another header.
"""

from typing import Final

from keys.gm import GmMissing, sm4_gcm_open, sm4_gcm_seal
from keys.primitives import (
    CONTENT_KEY_BYTES,
    ENCAPSULATED_BYTES,
    SUITE_SM2,
    SUITE_X25519,
    SUITE_XWING,
    NotAuthentic,
    PrekeyPrivate,
    PrekeyPublic,
    aes_gcm_open,
    aes_gcm_seal,
    sha256,
)
from keys.signer import Signer
from keys.signing import COPY, sign_record
from protocol.cbor import dumps, loads
from protocol.copy import COPY_BYTES, CopyHeader, encode_copy, encode_header, outer_payload
from protocol.errors import RemoteError
from protocol.fields import as_bytes, elements
from protocol.limits import SEALED_BYTES

HEADER_ALG: Final = 1
HEADER_KID: Final = 4
HEADER_IV: Final = 5
HEADER_EK: Final = -4
BODY: Final = {SUITE_XWING: 3, SUITE_X25519: 3, SUITE_SM2: -70011}
"""COSE algorithm of the body. 3 is AES-256-GCM; SM4-GCM has no registered number and one of the private range."""
KEY_WRAP: Final = {SUITE_XWING: -70001, SUITE_X25519: 50, SUITE_SM2: -70012}
"""COSE algorithm of the recipient layer. 50 is HPKE-4-KE (draft-ietf-cose-hpke); X-Wing has no registered number
yet (draft-ietf-cose-hpke-pq-pqt), nor has SM2, so suites 1 and 3 use some of the private range."""
KEY_BYTES: Final = 32
"""Of what the caller draws, this much is for the content key; suite 3 takes the first half."""
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_BODY_PROTECTED: Final = {suite: dumps({HEADER_ALG: number}) for suite, number in BODY.items()}
_SEAL: Final = {SUITE_XWING: aes_gcm_seal, SUITE_X25519: aes_gcm_seal, SUITE_SM2: sm4_gcm_seal}
_OPEN: Final = {SUITE_XWING: aes_gcm_open, SUITE_X25519: aes_gcm_open, SUITE_SM2: sm4_gcm_open}


def _body_aad(suite: int, header_bytes: bytes) -> bytes:
    """The Enc_structure of RFC 9052 section 5.3."""
    return dumps(["Encrypt", _BODY_PROTECTED[suite], header_bytes])


def _wrap_info(suite: int, header_bytes: bytes, protected: bytes) -> bytes:
    """The Recipient_structure of draft-ietf-cose-hpke: what binds the wrap to suite and header."""
    extra = dumps([suite, sha256(header_bytes)])
    return dumps(["SM2 Recipient" if suite == SUITE_SM2 else "HPKE Recipient", BODY[suite], protected, extra])


def seal_copy(key: Signer, header: CopyHeader, packed: bytes, prekey: PrekeyPublic, entropy: bytes) -> bytes:
    """The bytes of a copy: `packed` sealed under `header` and signed by the origin.

    `entropy` is 44 fresh random bytes: content key and nonce. Raises `ValueError` for the caller's mistakes
    (a prekey of another suite, content over the limit), `NotAuthentic` for a prekey that is no point.
    """
    if prekey.suite != header.suite:
        raise ValueError("prekey of another suite")
    if len(packed) > SEALED_BYTES:
        raise ValueError("content over SEALED_BYTES")
    content_key, nonce = entropy[: CONTENT_KEY_BYTES[header.suite]], entropy[KEY_BYTES:][:NONCE_BYTES]
    header_bytes = encode_header(header)
    protected = dumps({HEADER_ALG: KEY_WRAP[header.suite], HEADER_KID: header.prekey_id})
    encapsulated, wrapped = prekey.wrap(content_key, _wrap_info(header.suite, header_bytes, protected))
    body = _SEAL[header.suite](content_key, nonce, packed, _body_aad(header.suite, header_bytes))
    recipient = [protected, {HEADER_EK: encapsulated}, wrapped]
    ciphertext = dumps([_BODY_PROTECTED[header.suite], {HEADER_IV: nonce}, body, [recipient]])
    outer = sign_record(key, COPY, outer_payload(header_bytes, ciphertext))
    return encode_copy(outer, ciphertext)


def open_ciphertext(ciphertext: bytes, header: CopyHeader, header_bytes: bytes, prekey: PrekeyPrivate) -> bytes:
    """The packed plaintext of a copy whose outer signature was verified.

    Raises `RemoteError` MALFORMED for another shape, NOT_OPENED when it was not sealed for this prekey and header,
    BAD_SUITE for suite 3 without the extra `gm`.
    """
    if prekey.suite != header.suite:
        raise RemoteError("BAD_SUITE", "prekey of another suite")
    protected, unprotected, body, recipients = elements(loads(ciphertext, max_bytes=COPY_BYTES), 4, "COSE_Encrypt")
    if (
        protected != _BODY_PROTECTED[header.suite]
        or not isinstance(unprotected, dict)
        or set(unprotected) != {HEADER_IV}
    ):
        raise RemoteError("MALFORMED", "COSE_Encrypt headers")
    nonce = as_bytes(unprotected[HEADER_IV], "nonce", NONCE_BYTES)
    (recipient,) = elements(recipients, 1, "recipients")
    wrap_protected, wrap_unprotected, wrapped = elements(recipient, 3, "recipient")
    if wrap_protected != dumps({HEADER_ALG: KEY_WRAP[header.suite], HEADER_KID: header.prekey_id}):
        raise RemoteError("MALFORMED", "recipient header differs from the clear header")
    if not isinstance(wrap_unprotected, dict) or set(wrap_unprotected) != {HEADER_EK}:
        raise RemoteError("MALFORMED", "recipient headers")
    encapsulated = as_bytes(wrap_unprotected[HEADER_EK], "encapsulated key", ENCAPSULATED_BYTES[header.suite])
    info = _wrap_info(header.suite, header_bytes, wrap_protected)
    # A wrapped key of another length would turn AES-256 into AES-128.
    wrapped = as_bytes(wrapped, "wrapped key", CONTENT_KEY_BYTES[header.suite] + TAG_BYTES)
    try:
        content_key = prekey.unwrap(encapsulated, wrapped, info)
        return _OPEN[header.suite](content_key, nonce, as_bytes(body, "body"), _body_aad(header.suite, header_bytes))
    except GmMissing as error:
        raise RemoteError("BAD_SUITE", "SM2 is not spoken here: the extra gm is missing") from error
    except NotAuthentic as error:
        raise RemoteError("NOT_OPENED", "not sealed for this prekey and header") from error
