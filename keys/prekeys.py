"""Signed prekeys: the public keys to which others seal, renewed weekly (D7).

A record is a COSE_Sign1 by the office's signing key, purpose `relay/1/prekey`, over the map
{0 version, 1 network, 2 office id, 3 suite, 4 epoch, 5 not before, 6 not after, 7 public key, 8 SHA-256 of the
record before, or null}. Times in microseconds; valid in [not before, not after). Epochs rise by one a record.
Pure: no clock, no file. Private halves live in the store; they go MAX_LIFE after the validity ends.
"""

from dataclasses import dataclass
from typing import Final

from keys.directory import Directory
from keys.primitives import PREKEY_PUBLIC_BYTES, SERVES, NotAuthentic, PrekeyPublic, key_id, prekey_public, sha256
from keys.signer import Signer
from keys.signing import PREKEY, UnverifiedRecord, sign_record
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import KeyId, NetworkId, OfficeId
from protocol.limits import (
    CLOCK_AHEAD_US,
    DIGEST_BYTES,
    MAX_LIFE_US,
    NETWORK_ID_BYTES,
    OFFICE_ID_BYTES,
    RECORD_BYTES,
    SECOND_US,
)

PREKEY_VERSION: Final = 1
PREKEY_VALID_US: Final = 45 * 86_400 * SECOND_US
"""Longest validity of a prekey: offices that are offline for weeks stay reachable."""

PREKEY_RENEW_US: Final = 7 * 86_400 * SECOND_US
"""Age at which an office makes its next prekey."""

EPOCH_MAX: Final = 2**32 - 1
_PUBLIC_BYTES_MAX: Final = max(PREKEY_PUBLIC_BYTES.values())


@dataclass(frozen=True, slots=True)
class PrekeyRecord:
    """What a prekey record says. `data` are the signed bytes, `previous` the SHA-256 of the record before or None."""

    network_id: NetworkId
    office_id: OfficeId
    suite: int
    epoch: int
    not_before_us: int
    not_after_us: int
    public: bytes
    previous: bytes | None
    data: bytes

    @property
    def prekey_id(self) -> KeyId:
        """The id that copies name: over suite and public key."""
        return key_id(self.suite, self.public)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the record, for the next one's `previous`."""
        return sha256(self.data)

    @property
    def forget_us(self) -> int:
        """When the private half is deleted: the last message sealed to it has expired."""
        return self.not_after_us + MAX_LIFE_US

    def valid_at(self, at_us: int) -> bool:
        """Whether something may be sealed to it at this time."""
        return self.not_before_us <= at_us < self.not_after_us

    def renewal_due(self, at_us: int) -> bool:
        """Whether its owner should make the next one."""
        return at_us >= self.not_before_us + PREKEY_RENEW_US


def make_prekey(
    key: Signer,
    *,
    network_id: NetworkId,
    office_id: OfficeId,
    suite: int,
    seed: bytes,
    now_us: int,
    previous: PrekeyRecord | None = None,
    valid_us: int = PREKEY_VALID_US,
    epoch_seen: int = 0,
) -> PrekeyRecord:
    """The signed record of the prekey with this 32-byte private seed, valid from `now_us` on.

    The epoch follows that of `previous` (1 for the first) and `epoch_seen`, the highest one that neighbours know of us,
    which is above our own after a restore. Raises `ValueError` for a seed of wrong length or a validity over 45 days.
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
    data = sign_record(key, PREKEY, cbor.dumps(payload))
    return PrekeyRecord(network_id, office_id, suite, epoch, now_us, now_us + valid_us, public, before, data)


def parse_prekey(data: bytes) -> PrekeyRecord:
    """The record of these bytes, checked for form only: for our own store.

    Raises `RemoteError` TOO_LARGE, MALFORMED or BAD_VERSION.
    """
    return _read(data, UnverifiedRecord(data, max_bytes=RECORD_BYTES).payload)


def verify_prekey(data: bytes, directory: Directory, now_us: int) -> PrekeyRecord:
    """The verified record, or the first step that fails:

    1. It is a strict COSE_Sign1 with exactly the nine fields (TOO_LARGE, MALFORMED, BAD_VERSION).
    2. It is of this network (WRONG_NETWORK), of a suite the directory allows (BAD_SUITE), valid for at most 45 days
       and not from more than 5 minutes ahead on (BAD_LIFE), and not over (EXPIRED).
    3. Its office is in the directory and not revoked, and has the signing key, valid when the prekey's validity began
       and valid now (UNKNOWN_OFFICE, UNKNOWN_KEY, KEY_NOT_VALID).
    4. The signature is by that key, for this purpose (BAD_SIGNATURE).
    5. The signing key serves the prekey's suite (BAD_SUITE), of which the public key is one (MALFORMED).

    Whether it is newer than the one held is `supersedes`.
    """
    unverified = UnverifiedRecord(data, max_bytes=RECORD_BYTES)
    record = _read(data, unverified.payload)
    if record.network_id != directory.network_id:
        raise RemoteError("WRONG_NETWORK", "a prekey of another network")
    if record.suite not in directory.rules.suites or record.suite not in PREKEY_PUBLIC_BYTES:
        raise RemoteError("BAD_SUITE", f"a prekey of suite {record.suite}")
    if record.not_before_us > now_us + CLOCK_AHEAD_US:
        raise RemoteError("BAD_LIFE", "a prekey that is not valid yet")
    if record.not_after_us <= now_us:
        raise RemoteError("EXPIRED", "a prekey past its validity")
    directory.signing_key(record.office_id, unverified.key_id, record.not_before_us)
    key = directory.signing_key(record.office_id, unverified.key_id, max(now_us, record.not_before_us))
    unverified.verify(PREKEY, key.public)
    if record.suite not in SERVES[key.suite]:
        raise RemoteError("BAD_SUITE", f"a prekey of suite {record.suite}, signed by a key of suite {key.suite}")
    try:
        PrekeyPublic(record.suite, record.public)
    except NotAuthentic as error:
        raise RemoteError("MALFORMED", "not a public key of its suite") from error
    return record


def supersedes(new: PrekeyRecord, held: PrekeyRecord | None) -> bool:
    """Whether a verified record takes the place of the one held for that office: the highest epoch wins.

    False for the same record again. Raises `RemoteError` STALE for a lower epoch, ID_REUSED for another record of the
    same epoch, which means two signers: an alarm.
    """
    if held is None:
        return True
    if new.office_id != held.office_id:
        raise ValueError("two offices' prekeys are not compared")
    if new.epoch < held.epoch:
        raise RemoteError("STALE", f"prekey epoch {new.epoch} after {held.epoch}")
    if new.epoch == held.epoch:
        if new.data == held.data:
            return False
        raise RemoteError("ID_REUSED", f"two different prekeys of epoch {new.epoch}")
    return True


def forks(new: PrekeyRecord, held: PrekeyRecord) -> bool:
    """Whether a record that directly follows the held one does not know it: the office was restored or cloned.

    An alarm, but no reason to refuse: its owner signed it, and may hold no other private half any more.
    """
    return new.epoch == held.epoch + 1 and new.previous != held.digest


def _read(data: bytes, payload: bytes) -> PrekeyRecord:
    """Step 1: the fields of the payload; raises `RemoteError`."""
    fields = Fields(cbor.loads(payload, max_bytes=RECORD_BYTES), "prekey")
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
    )
    fields.done()
    if record.epoch < 1 or (record.epoch == 1 and record.previous is not None):
        raise RemoteError("MALFORMED", "prekey epochs begin at 1, which follows no other")
    if not 0 < record.not_after_us - record.not_before_us <= PREKEY_VALID_US:
        raise RemoteError("BAD_LIFE", "a prekey valid for more than 45 days, or never")
    return record
