"""The network's metadata files: their names, their strict form, and what identifies a root.

The files are TUF metadata (The Update Framework, specification 1.0) read and written by python-tuf, narrowed:
only Ed25519 keys whose id is derived from the key, no key under two ids, one byte form per file (compact JSON,
keys sorted), length and SHA-256 wherever one file names another. Fields that the signers added and this
version does not know are kept and ignored, as TUF has it; fields outside the signed part are refused.

Second signatures (D8). python-tuf knows Ed25519 alone, and a threshold of it is what the TUF workflow counts. Beside it
every root and every targets.json carries ML-DSA-65 (FIPS 204) signatures, in the same list of signatures, each under
the id of its second key, which python-tuf passes over like any signature of a key that it does not know. The signed
part of every root names the second keys in our field `x-holders`: for each Ed25519 key of the roles root and targets
its label and the other half. A holder counts only when both halves have signed; `require_seconds` in
keys/trust/seconds.py asks for the role's threshold of such holders. A root without the field is malformed, so there is
nothing to fall back to.

File names are fixed (no consistent snapshots): each is one retained topic, and a new generation takes the place of
the old one instead of adding to it. A reader that sees two generations mixed refuses them by their hashes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import Key, SSlibKey
from tuf.api.exceptions import (
    BadVersionNumberError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError, SerializationError
from tuf.api.serialization.json import JSONSerializer

from keys.mldsa import PUBLIC_BYTES, SIGNATURE_BYTES
from keys.primitives import is_small_order, sha256
from keys.times import time_us
from protocol import cbor
from protocol.errors import RemoteError
from protocol.limits import DIRECTORY_BYTES

TIMESTAMP: Final = "timestamp.json"
SNAPSHOT: Final = "snapshot.json"
TARGETS: Final = "targets.json"
SUSPENSIONS_ROLE: Final = "suspensions"
SUSPENSIONS: Final = "suspensions.json"
ROSTER_FILE: Final = "roster.cbor"
SUSPENSIONS_FILE: Final = "suspensions.cbor"
CURRENT_FILES: Final = (TIMESTAMP, SNAPSHOT, TARGETS, SUSPENSIONS, ROSTER_FILE, SUSPENSIONS_FILE)
"""The files of one generation; the roots `1.root.json`, `2.root.json`, ... come on top."""

METADATA_BYTES: Final = 256 * 1024
"""Longest metadata file: a root that hands over from ten holders to ten others has 220 KiB."""

HOLDERS: Final = 10
"""Most keys of a role."""

ROOTS: Final = 1_000
"""Highest root version: one rotation a week for twenty years."""

ISSUED_FIELD: Final = "x-issued-us"
"""Our field in timestamp.json: when it was signed, in microseconds; the source of the clock floor (D12)."""

HOLDERS_FIELD: Final = "x-holders"
"""Our field in a root: who holds the keys of root and targets, as {key id: {"label", "mldsa65"}}."""

SECOND_ROLES: Final = ("root", "targets")
"""The roles whose keys have a second half."""

_ROOT_FILE: Final = re.compile(r"([1-9][0-9]{0,3})\.root\.json")
_LABEL: Final = re.compile(r"(root|targets)-[1-9][0-9]{0,3}")
_SIGNATURE: Final = re.compile(rf"[0-9a-f]{{128}}|[0-9a-f]{{{2 * SIGNATURE_BYTES}}}")
_T = TypeVar("_T", Root, Timestamp, Snapshot, Targets)


class TrustError(Exception):
    """Trust files that must not be believed.

    `code`: TRUST_MALFORMED, TRUST_UNSIGNED (too few valid signatures), TRUST_ROLLBACK, TRUST_EXPIRED,
    TRUST_MISMATCH (files of different generations, a wrong length or hash, a file missing), TRUST_EQUIVOCATION (one
    version, two contents: an alarm), TRUST_FOREIGN (another network) or TRUST_MISSING (nothing to start from).
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def translate(error: Exception, what: str) -> TrustError:
    """Our error for one of python-tuf's, or of the roster's decoder."""
    if isinstance(error, TrustError):
        return error
    code = "TRUST_MALFORMED"
    if isinstance(error, UnsignedMetadataError | SigningError):
        code = "TRUST_UNSIGNED"
    elif isinstance(error, ExpiredMetadataError):
        code = "TRUST_EXPIRED"
    elif isinstance(error, BadVersionNumberError):
        code = "TRUST_ROLLBACK"
    elif isinstance(error, LengthOrHashMismatchError):
        code = "TRUST_MISMATCH"
    detail = error.detail if isinstance(error, RemoteError) else str(error)
    return TrustError(code, f"{what}: {detail[:200]}")


FAULTS: Final = (
    RepositoryError, SigningError, DeserializationError, SerializationError, RemoteError,
    ValueError, KeyError, TypeError, AttributeError,
)  # fmt: skip
"""What python-tuf and our decoders raise for files that are not to be believed; give them to `translate`."""


def root_file(version: int) -> str:
    """The file name of that root."""
    return f"{version}.root.json"


def root_version(name: str) -> int | None:
    """The version in a root's file name, or None for another name."""
    found = _ROOT_FILE.fullmatch(name)
    version = int(found[1]) if found else None
    return version if version is not None and version <= ROOTS else None


def is_trust_file(name: str) -> bool:
    """Whether a file of this name belongs to the network's metadata; whatever else is offered is ignored."""
    return name in CURRENT_FILES or root_version(name) is not None


def size_limit(name: str) -> int:
    """Longest content, in bytes, of the trust file with that name."""
    return DIRECTORY_BYTES if name == ROSTER_FILE else METADATA_BYTES


def encode(metadata: Metadata[Any]) -> bytes:
    """The one byte form of a metadata file."""
    return metadata.to_bytes(JSONSerializer(compact=True))


def parse(kind: type[_T], data: bytes, what: str) -> Metadata[_T]:
    """The metadata of a file, checked for form but not for signatures. Raises `TrustError` TRUST_MALFORMED."""
    if len(data) > METADATA_BYTES:
        raise TrustError("TRUST_MALFORMED", f"{what} has {len(data)} bytes, at most {METADATA_BYTES}")
    try:
        metadata = Metadata[_T].from_bytes(data)
        canonical = encode(metadata) == data
    except FAULTS as error:
        raise TrustError("TRUST_MALFORMED", f"{what}: {str(error)[:200]}") from error
    signed: Signed = metadata.signed
    if not isinstance(signed, kind):
        raise TrustError("TRUST_MALFORMED", f"{what} is of type {signed.type}")
    if metadata.unrecognized_fields or any(one.unrecognized_fields for one in metadata.signatures.values()):
        raise TrustError("TRUST_MALFORMED", f"{what} has fields that nobody signed")
    if not all(_SIGNATURE.fullmatch(one.signature) for one in metadata.signatures.values()):
        raise TrustError(
            "TRUST_MALFORMED", f"{what} has a signature that is not 64 or {SIGNATURE_BYTES} bytes in small hex digits"
        )
    if not canonical:
        raise TrustError("TRUST_MALFORMED", f"{what} is not in its one byte form")
    if type(signed.version) is not int or not 1 <= signed.version < 2**32:
        raise TrustError("TRUST_MALFORMED", f"{what} has a version out of range")
    if isinstance(signed, Root):
        require_keys(signed.keys, what)
        pairs_of(signed)
    if isinstance(signed, Targets):
        require_keys(signed.delegations.keys if signed.delegations else {}, what)
    return metadata


def require_keys(keys: Mapping[str, Key], what: str) -> None:
    """Only sound Ed25519 keys, each under the id that follows from it, so that no key can count twice.

    Raises `TrustError` TRUST_MALFORMED.
    """
    for id_, key in keys.items():
        try:
            public = bytes.fromhex(key.keyval["public"])
            expected = tuf_key(public)
            sound = id_ == expected.keyid and key.to_dict() == expected.to_dict() and not is_small_order(public)
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise TrustError("TRUST_MALFORMED", f"{what} has a key that is not a sound Ed25519 key under its own id")


def tuf_key(public: bytes) -> SSlibKey:
    """The TUF form of an Ed25519 public key; its id is SHA-256 of the key's canonical JSON."""
    value = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.hex()}}
    # OLPC canonical JSON of such plain texts is what any JSON writer gives with sorted keys and no spaces.
    canonical = f'{{"keytype":"ed25519","keyval":{{"public":"{public.hex()}"}},"scheme":"ed25519"}}'
    return SSlibKey.from_dict(sha256(canonical.encode()).hex(), value)


def role_publics(root: Root, role: str) -> list[bytes]:
    """The public keys of a top-level role, sorted."""
    return sorted(bytes.fromhex(root.get_key(id_).keyval["public"]) for id_ in root.roles[role].keyids)


def publics_in(root_bytes: bytes, role: str) -> list[bytes]:
    """The public keys of a role in a root file, sorted. Raises `TrustError`; the signatures are not checked."""
    root = parse(Root, root_bytes, "the root").signed
    try:
        return role_publics(root, role)
    except FAULTS as error:
        raise translate(error, "the root") from error


@dataclass(frozen=True, slots=True)
class Pair:
    """The public halves of a holder's key: 32 bytes of Ed25519, and 1,952 of ML-DSA-65 or none."""

    label: str
    first: bytes
    second: bytes = b""


def second_id(second: bytes) -> str:
    """The id of a second key, under which its signatures stand: SHA-256 with a purpose, in hex."""
    return sha256(b"relay/1/mldsa-65" + second).hex()


def purpose_of(role: str) -> str:
    """The purpose of second signatures for a role, so that none serves another."""
    return f"relay/1/{role}"


def pairs_of(root: Root) -> dict[str, Pair]:
    """The holders of root and targets keys, by the id of their Ed25519 key.

    Raises `TrustError` TRUST_MALFORMED unless there is exactly one for each such key, no second key or label twice.
    """
    named: Any = root.unrecognized_fields.get(HOLDERS_FIELD)
    wanted = {id_ for role in SECOND_ROLES if role in root.roles for id_ in root.roles[role].keyids}
    pairs: dict[str, Pair] = {}
    try:
        for id_, one in named.items():
            public = bytes.fromhex(root.keys[id_].keyval["public"])
            pairs[id_] = Pair(one["label"], public, bytes.fromhex(one["mldsa65"]))
        sound = pairs.keys() == wanted and all(
            named[id_] == {"label": pair.label, "mldsa65": pair.second.hex()}
            and _LABEL.fullmatch(pair.label)
            and len(pair.second) == PUBLIC_BYTES
            for id_, pair in pairs.items()
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        sound = False
    seconds, labels = {pair.second for pair in pairs.values()}, {pair.label for pair in pairs.values()}
    if not sound or len(seconds) < len(pairs) or len(labels) < len(pairs):
        raise TrustError("TRUST_MALFORMED", f"{HOLDERS_FIELD} of the root does not name one second key for each holder")
    return pairs


def by_label(pairs: Iterable[Pair]) -> list[Pair]:
    """In the order of their labels: root-2 before root-10."""
    return sorted(pairs, key=lambda pair: (len(pair.label), pair.label))


def fingerprint(root: Root) -> str:
    """SHA-256, in hex, over what makes a root an anchor: canonical CBOR [threshold, [[first, second], ...]].

    `first` is a root public key, `second` SHA-256 of its ML-DSA half; pairs are sorted. Prefixed with the purpose
    `relay/1/root`. Version, expiry, other roles and signatures do not count: the fingerprint that an administrator
    reads out stays the same until the root keys change hands.
    """
    pairs = pairs_of(root)
    keys = sorted([pairs[id_].first, sha256(pairs[id_].second)] for id_ in root.roles["root"].keyids)
    return sha256(b"relay/1/root" + cbor.dumps([root.roles["root"].threshold, keys])).hex()


def root_fingerprint(root_bytes: bytes) -> str:
    """The fingerprint of a root file. Raises `TrustError` TRUST_MALFORMED; the signatures are not checked."""
    root = parse(Root, root_bytes, "the root").signed
    try:
        return fingerprint(root)
    except FAULTS as error:
        raise translate(error, "the root") from error


def describe(version: int, data: bytes) -> MetaFile:
    """How one metadata file names another: version, length and SHA-256."""
    return MetaFile.from_data(version, data, ["sha256"])


def require_described(files: Iterable[MetaFile | TargetFile], what: str) -> None:
    """Length and SHA-256 must be there, or another generation's file could be put in the place.

    Raises `TrustError` TRUST_MALFORMED.
    """
    for file in files:
        if file.length is None or set(file.hashes or ()) != {"sha256"}:
            raise TrustError("TRUST_MALFORMED", f"{what} names a file without its length and SHA-256")


def issued_us(timestamp: Timestamp) -> int:
    """When timestamp.json was signed. Raises `TrustError` TRUST_MALFORMED without a plausible time."""
    issued = timestamp.unrecognized_fields.get(ISSUED_FIELD)
    if type(issued) is not int or not 0 <= issued < time_us(timestamp.expires):
        raise TrustError("TRUST_MALFORMED", f"timestamp.json has no {ISSUED_FIELD} before its expiry")
    return issued
