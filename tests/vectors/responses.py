"""Vectors for the answers to enrolment requests: the right ones, and others with one fault each.

The network has one holder for each role. Its root lies in every answer, and its fingerprint, which an office is given
before, beside it (`root`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from tuf.api.metadata import Metadata, Root

from keys.enrol.response import RESPONSE_BYTES, EnrolmentResponse, encode_response, make_response
from keys.mldsa import SecondKey
from keys.primitives import SigningKey
from keys.signing import REQUEST, RESPONSE, sign_record
from keys.times import utc_time
from keys.trust.chain import verify_root
from keys.trust.holder import Holder
from keys.trust.making import set_role
from keys.trust.metadata import TrustError, encode, parse, root_file, root_fingerprint
from protocol import cbor
from protocol.errors import RemoteError
from tests.enrolling import answer, refusal
from tests.vectors.records import changed
from tests.vectors.vector import FOLDER, Vector, read_vector
from tests.world import DAY_US, NOW_US, STRANGER_KEY, seed

ROLES: Final = ("root", "targets", "snapshot", "timestamp")
FILES: Final = 10
"""The number of the field with the trust files."""


def holder(role: str, version: int = 1) -> Holder:
    """The only holder of a role; that of the snapshot role has another key from the second root on."""
    label = f"{role}-{version if role == 'snapshot' else 1}"
    second = SecondKey.from_seed(seed(f"{label}, second")) if role in ("root", "targets") else None
    return Holder(label, SigningKey.from_seed(seed(label)), second)


def root(version: int = 1) -> bytes:
    """A root file. ML-DSA draws randomness, so the one in a vector is kept while it says the same and is good."""
    made = Root(version=version, expires=utc_time(NOW_US + 365 * DAY_US), consistent_snapshot=False)
    for role in ROLES:
        set_role(made, role, [holder(role, version).pair], 1)
    known = _known(version)
    if known is not None and parse(Root, known, "the root").signed == made:
        return known
    metadata = Metadata(made)
    holder("root").sign(metadata, "root")
    return encode(metadata)


def _known(version: int) -> bytes | None:
    """The root of the vector that has it, if it verifies."""
    path = FOLDER / ("response-ok.txt" if version == 1 else "response-ok-rotated.txt")
    try:
        record = cbor.loads(read_vector(path).data, max_bytes=RESPONSE_BYTES)
        found = dict(cbor.loads(record[2], max_bytes=RESPONSE_BYTES)[FILES])[root_file(version)]
        verify_root(found)
    except (OSError, ValueError, LookupError, TypeError, RemoteError, TrustError):
        return None
    return bytes(found)


def vectors() -> Iterator[Vector]:
    """What an office must be able to tell, before it asks whether it is its own request that is answered."""
    first, second = root(1), root(2)
    fingerprint, key = root_fingerprint(first), holder("snapshot").first
    good = answer(files={root_file(1): first})
    payload = encode_response(good)

    def vector(name: str, comment: str, data: bytes, expect: str, pinned: str = fingerprint) -> Vector:
        return Vector(f"response-{name}", comment, "response", expect, data, {"root": pinned})

    def changing(name: str, comment: str, expect: str, **fields: Any) -> Vector:
        return vector(name, comment, sign_record(key, RESPONSE, changed(payload, **fields)), expect)

    def saying(name: str, comment: str, expect: str, said: EnrolmentResponse) -> Vector:
        return vector(name, comment, make_response(said, key), expect)

    right = make_response(good, key)
    yield vector("ok", "Jianhu county is taken in.", right, "ok")
    yield saying("ok-refused", "It is refused, with a reason.", "ok", replace(refusal(), files=good.files))
    yield vector("truncated", "Its last byte is missing.", right[:-1], "MALFORMED")
    yield vector("trailing", "A byte too many.", right + b"\0", "MALFORMED")
    edited = cbor.loads(right, max_bytes=RESPONSE_BYTES)
    edited[2] = changed(payload, f3="320926-GO")
    yield vector("edited", "Another office was put into it.", cbor.dumps(edited), "BAD_SIGNATURE")
    yield vector("purpose", "Signed as a request.", sign_record(key, REQUEST, payload), "BAD_SIGNATURE")
    yield vector("stranger", "Signed by a stranger.", make_response(good, STRANGER_KEY), "UNKNOWN_KEY")
    timestamp = holder("timestamp").first
    yield vector("timestamp-key", "Signed by the key of another role.", make_response(good, timestamp), "UNKNOWN_KEY")
    yield changing("version-2", "Version 2.", "BAD_VERSION", f0=2)
    yield changing("unknown-field", "A field more.", "MALFORMED", f11=0)
    yield changing("short-digest", "A digest of 31 bytes.", "MALFORMED", f1=good.request[:31])
    yield changing("address", "An address in small letters.", "MALFORMED", f3="320925-go")
    yield changing("no-authority", "A certificate without its authority.", "MALFORMED", f7=None)
    yield changing("yes-and-no", "A certificate and a reason to refuse.", "MALFORMED", f9="no")
    yield changing("port-0", "A broker at port 0.", "MALFORMED", f8=[["yancheng", "nats", "10.0.0.9", 0, True, ""]])
    yield changing("file-unknown", "A file that is no trust file.", "MALFORMED", f10=[["2.txt", b""]])
    yield changing("file-twice", "The root twice.", "MALFORMED", f10=[[root_file(1), first]] * 2)
    yield changing("no-root", "Without the root.", "TRUST_FOREIGN", f10=[["timestamp.json", b"{}"]])
    yield vector("other-root", "Another root was pinned.", right, "TRUST_FOREIGN", seed("another root").hex())
    bent = first.replace(b'"threshold":1', b'"threshold":2', 1)
    yield changing("root-edited", "A threshold in the root was changed.", "TRUST_UNSIGNED", f10=[[root_file(1), bent]])
    metadata: Metadata[Root] = parse(Root, first, "the root")
    for id_ in [one for one in metadata.signatures if one not in metadata.signed.roles["root"].keyids]:
        del metadata.signatures[id_]
    half = replace(good, files={root_file(1): encode(metadata)})
    yield saying("root-one-half", "The root is signed by one half of its key.", "TRUST_UNSIGNED", half)
    both = replace(good, files={root_file(1): first, root_file(2): second})
    newer = holder("snapshot", 2).first
    yield vector("ok-rotated", "Signed by the key of the newest root.", make_response(both, newer), "ok")
    yield saying("old-key", "Signed by the key that the newest root replaced.", "UNKNOWN_KEY", both)
