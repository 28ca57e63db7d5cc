"""Signed prekeys: the public keys to which others seal, renewed weekly (D7).

A record is [first, second]. `first` is a COSE_Sign1 by the office's signing key, purpose `relay/1/prekey`, over the map
{0 version, 1 network, 2 office id, 3 suite, 4 epoch, 5 not before, 6 not after, 7 public key, 8 SHA-256 of the
record before, or null}. `second` is [ML-DSA-65 public key, its signature over `first`], or null for an office whose
entry in the directory names no such key. X-Wing keeps what is sealed closed to a later quantum computer; the second
signature keeps its owner from offering a prekey of its own in the office's name.
Times in microseconds; valid in [not before, not after). Epochs rise by one a record.
Pure: no clock, no file. Private halves live in the store; they go MAX_LIFE after the validity ends.
"""

from dataclasses import dataclass
from typing import Final

from keys.mldsa import MLDSA, PUBLIC_BYTES, SIGNATURE_BYTES, SecondKey, verify_mldsa
from keys.primitives import PREKEY_PUBLIC_BYTES, SERVES, NotAuthentic, PrekeyPublic, key_id, prekey_public, sha256
from keys.roster.directory import Directory
from keys.signer import Signer
from keys.signing import PREKEY, UnverifiedRecord, sign_record
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, elements
from protocol.ids import KeyId, NetworkId, OfficeId
from protocol.limits import (
    CLOCK_AHEAD_US,
    DIGEST_BYTES,
    NETWORK_ID_BYTES,
    OFFICE_ID_BYTES,
    RECORD_BYTES,
    SECOND_US,
)

PREKEY_VERSION: Final = 1
PREKEY_VALID_US: Final = 45 * 86_400 * SECOND_US
"""Longest validity of a prekey: offices that are offline for weeks stay reachable."""

EPOCH_MAX: Final = 2**32 - 1
_PUBLIC_BYTES_MAX: Final = max(PREKEY_PUBLIC_BYTES.values())


@dataclass(frozen=True, slots=True)
class PrekeyRecord:
    """What a prekey record says. `data` are its bytes, `previous` the SHA-256 of the record before or None.

    `signer` is the id of the key of the first signature, `second` the public ML-DSA key of the second one, or None.
    """

    network_id: NetworkId
    office_id: OfficeId
    suite: int
    epoch: int
    not_before_us: int
    not_after_us: int
    public: bytes
    previous: bytes | None
    data: bytes
    signer: KeyId
    second: bytes | None = None

    @property
    def prekey_id(self) -> KeyId:
        """The id that copies name: over suite and public key."""
        return key_id(self.suite, self.public)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the record, for the next one's `previous`."""
        return sha256(self.data)

    @property
    def rank(self) -> tuple[int, int]:
        """Of two records of an office the one of higher rank counts (SPEC M52): by epoch, then by when it begins. An
        office that lost its prekeys may give an epoch again that a distant one still remembers.
        """
        return self.epoch, self.not_before_us

    def valid_at(self, at_us: int) -> bool:
        """Whether something may be sealed to it at this time."""
        return self.not_before_us <= at_us < self.not_after_us

    def renewal_due(self, at_us: int, renew_us: int) -> bool:
        """Whether its owner should make the next one: at this age, or if it begins later than others believe."""
        return at_us >= self.not_before_us + renew_us or at_us < self.not_before_us - CLOCK_AHEAD_US


def make_prekey(
    key: Signer,
    *,
    network_id: NetworkId,
    office_id: OfficeId,
    suite: int,
    seed: bytes,
    now_us: int,
    second: SecondKey | None = None,
    previous: PrekeyRecord | None = None,
    valid_us: int = PREKEY_VALID_US,
    epoch_seen: int = 0,
) -> PrekeyRecord:
    """The signed record of the prekey with this 32-byte private seed, valid from `now_us` on.

    `second` is the office's ML-DSA key, where the directory names one. The epoch follows that of `previous` (1 for the
    first) and `epoch_seen`, the highest one that neighbours know of us, which is above our own after a restore.
    Raises `ValueError` for a seed of wrong length or a validity over 45 days.
    """
    if not 0 < valid_us <= PREKEY_VALID_US:
        raise ValueError("a prekey is valid for at most 45 days")
    public = prekey_public(suite, seed)
    epoch = 1 + max(epoch_seen, 0 if previous is None else previous.epoch)
    before = None if previous is None else previous.digest
    payload = {
        0: PREKEY_VERSION,
        1: network_id,
        2: office_id,
        3: suite,
        4: epoch,
        5: now_us,
        6: now_us + valid_us,
        7: public,
        8: before,
    }
    first = sign_record(key, PREKEY, cbor.dumps(payload))
    named = None if second is None else second.public()
    data = cbor.dumps([first, None if second is None else [named, second.sign(PREKEY, first)]])
    return PrekeyRecord(
        network_id, office_id, suite, epoch, now_us, now_us + valid_us, public, before, data, key.key_id(), named
    )


def parse_prekey(data: bytes) -> PrekeyRecord:
    """The record of these bytes, checked for form only: for our own store.

    Raises `RemoteError` TOO_LARGE, MALFORMED or BAD_VERSION.
    """
    first, second = _split(data)
    return _read(data, UnverifiedRecord(first, max_bytes=RECORD_BYTES), second)


def verify_prekey(data: bytes, directory: Directory, now_us: int) -> PrekeyRecord:
    """The verified record, or the first step that fails:

    1. It is strict CBOR of two parts, the first with exactly the nine fields (TOO_LARGE, MALFORMED, BAD_VERSION).
    2. It is of this network (WRONG_NETWORK), of a suite the directory allows (BAD_SUITE), valid for at most 45 days
       and not from more than 5 minutes ahead on (BAD_LIFE), and not over (EXPIRED).
    3. Its office is in the directory and not revoked, and has the signing key, valid when the prekey's validity began
       and valid now (UNKNOWN_OFFICE, UNKNOWN_KEY, KEY_NOT_VALID).
    4. The signature is by that key, for this purpose (BAD_SIGNATURE).
    5. Where the directory names second keys of the office, one of them, valid at the same times, has signed it too
       (BAD_SIGNATURE, UNKNOWN_KEY, KEY_NOT_VALID); where it names none, nobody has (UNKNOWN_KEY).
    6. The signing key serves the prekey's suite (BAD_SUITE), of which the public key is one (MALFORMED).

    Whether it is newer than the one held is `supersedes`.
    """
    return _verify(data, directory, now_us, past=False)


def verify_own(data: bytes, directory: Directory, now_us: int) -> PrekeyRecord:
    """A record of our own that somebody else holds: verified like any other, but one past its validity counts too,
    if the key that signed it is valid still. Raises `RemoteError` like `verify_prekey`, but for EXPIRED.
    """
    return _verify(data, directory, now_us, past=True)


def _verify(data: bytes, directory: Directory, now_us: int, *, past: bool) -> PrekeyRecord:
    """The steps of `verify_prekey`."""
    first, second = _split(data)
    unverified = UnverifiedRecord(first, max_bytes=RECORD_BYTES)
    record = _read(data, unverified, second)
    if record.network_id != directory.network_id:
        raise RemoteError("WRONG_NETWORK", "a prekey of another network")
    if record.suite not in directory.rules.suites or record.suite not in PREKEY_PUBLIC_BYTES:
        raise RemoteError("BAD_SUITE", f"a prekey of suite {record.suite}")
    if record.not_before_us > now_us + CLOCK_AHEAD_US:
        raise RemoteError("BAD_LIFE", "a prekey that is not valid yet")
    if record.not_after_us <= now_us and not past:
        raise RemoteError("EXPIRED", "a prekey past its validity")
    directory.signing_key(record.office_id, unverified.key_id, record.not_before_us)
    key = directory.signing_key(record.office_id, unverified.key_id, max(now_us, record.not_before_us))
    unverified.verify(PREKEY, key.public)
    _verify_second(first, second, directory, record, max(now_us, record.not_before_us))
    if record.suite not in SERVES[key.suite]:
        raise RemoteError("BAD_SUITE", f"a prekey of suite {record.suite}, signed by a key of suite {key.suite}")
    try:
        PrekeyPublic(record.suite, record.public)
    except NotAuthentic as error:
        raise RemoteError("MALFORMED", "not a public key of its suite") from error
    return record


def supersedes(new: PrekeyRecord, held: PrekeyRecord | None) -> bool:
    """Whether a verified record takes the place of the one held for that office: the highest rank wins.

    False for the same record again. Raises `RemoteError` STALE for a lower rank, ID_REUSED for another record of the
    same rank, which means two signers: an alarm.
    """
    if held is None:
        return True
    if new.office_id != held.office_id:
        raise ValueError("two offices' prekeys are not compared")
    if new.data == held.data:
        return False
    if new.rank == held.rank:
        raise RemoteError("ID_REUSED", f"two different prekeys of epoch {new.epoch} from the same time on")
    if new.rank < held.rank:
        raise RemoteError("STALE", f"prekey epoch {new.epoch} after {held.epoch}, or one that began earlier")
    return True


def _split(data: bytes) -> tuple[bytes, tuple[bytes, bytes] | None]:
    """Step 1, the parts: (first, (second key, second signature) or None); raises `RemoteError`."""
    parts = elements(cbor.loads(data, max_bytes=RECORD_BYTES), 2, "prekey")
    first = as_bytes(parts[0], "prekey record")
    if parts[1] is None:
        return first, None
    public, signature = elements(parts[1], 2, "second signature")
    return first, (
        as_bytes(public, "second key", PUBLIC_BYTES), as_bytes(signature, "second signature", SIGNATURE_BYTES)
    )  # fmt: skip


def _verify_second(
    first: bytes, second: tuple[bytes, bytes] | None, directory: Directory, record: PrekeyRecord, now_us: int
) -> None:
    """Step 5; raises `RemoteError`."""
    office = directory.by_id(record.office_id)
    named = {key.public: key for key in (() if office is None else office.keys) if key.suite == MLDSA}
    if second is None:
        if named:
            raise RemoteError("BAD_SIGNATURE", "no second signature, though the directory names a key for it")
        return
    public, signature = second
    key = named.get(sha256(public))
    if key is None:
        raise RemoteError("UNKNOWN_KEY", "the directory names no such second key of the office")
    if not (key.valid_at(record.not_before_us) and key.valid_at(now_us)):
        raise RemoteError("KEY_NOT_VALID", "the second key of a prekey")
    if not verify_mldsa(public, signature, PREKEY, first):
        raise RemoteError("BAD_SIGNATURE", "not signed by the second key")


def _read(data: bytes, first: UnverifiedRecord, second: tuple[bytes, bytes] | None) -> PrekeyRecord:
    """Step 1: the fields of the payload; raises `RemoteError`."""
    fields = Fields(cbor.loads(first.payload, max_bytes=RECORD_BYTES), "prekey")
    fields.version(PREKEY_VERSION)
    record = PrekeyRecord(
        network_id=NetworkId(fields.fixed(1, NETWORK_ID_BYTES)),
        office_id=OfficeId(fields.fixed(2, OFFICE_ID_BYTES)),
        suite=fields.uint(3, 255),
        epoch=fields.uint(4, EPOCH_MAX),
        not_before_us=fields.uint(5),
        not_after_us=fields.uint(6),
        public=fields.blob(7, _PUBLIC_BYTES_MAX),
        previous=fields.optional_fixed(8, DIGEST_BYTES),
        data=data,
        signer=first.key_id,
        second=None if second is None else second[0],
    )
    fields.done()
    if record.epoch < 1 or (record.epoch == 1 and record.previous is not None):
        raise RemoteError("MALFORMED", "prekey epochs begin at 1, which follows no other")
    # Else whoever stole a signing key could use the epochs up, and the office never make a prekey again.
    if record.epoch > record.not_before_us // SECOND_US:
        raise RemoteError("MALFORMED", "an epoch that one prekey a second since 1970 does not come to")
    if not 0 < record.not_after_us - record.not_before_us <= PREKEY_VALID_US:
        raise RemoteError("BAD_LIFE", "a prekey valid for more than 45 days, or never")
    return record
