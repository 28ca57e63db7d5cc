"""Verification of one set of trust files against a root: the TUF client workflow (specification 1.0, section 5).

No file and no clock here; times are arguments. python-tuf's `TrustedMetadataSet` does the workflow itself, since its
`Updater` brings a cache, a clock and a fetcher of its own, none of which knows fsync or retained messages.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from tuf.api.exceptions import (
    BadVersionNumberError,
    EqualVersionNumberError,
    ExpiredMetadataError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from keys.roster.directory import Directory
from keys.roster.suspensions import SLACK_US, Suspension, decode_suspensions, forgotten
from keys.times import time_us, utc_time
from keys.trust.metadata import (
    CURRENT_FILES,
    FAULTS,
    ROSTER_FILE,
    SNAPSHOT,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    TIMESTAMP,
    TrustError,
    fingerprint,
    issued_us,
    parse,
    require_described,
    root_file,
    root_version,
    size_limit,
    translate,
)
from keys.trust.seconds import require_seconds

_T = TypeVar("_T", Snapshot, Targets)


@dataclass(frozen=True, slots=True)
class Generation:
    """One verified set of files, and what it says. Made only by `verify_generation`."""

    files: Mapping[str, bytes]
    directory: Directory
    suspensions: tuple[Suspension, ...]
    root_version: int
    timestamp_version: int
    snapshot_version: int
    targets_version: int
    issued_us: int
    fresh_until_us: int
    """Expiry of timestamp.json."""
    expires_us: int
    """First expiry among root, snapshot and targets."""


def verify_root(data: bytes) -> tuple[int, str]:
    """(version, fingerprint) of a root that enough of its own keys signed. Raises `TrustError`."""
    root = _trusted(data, None).root
    require_seconds(root, "root", parse(Root, data, "the root"))
    return root.version, fingerprint(root)


def next_root(current: bytes, data: bytes) -> None:
    """Check that `data` is the root after `current`, signed by enough keys of both. Raises `TrustError`.

    A root that has expired is fine here; only the last one of a chain must not be (`verify_generation`).
    """
    what = "the new root"
    metadata = parse(Root, data, what)
    trusted = _trusted(current, None)
    before = trusted.root
    try:
        trusted.update_root(data)
    except FAULTS as error:
        raise translate(error, what) from error
    for root in (before, metadata.signed):
        require_seconds(root, "root", metadata)


def chain_roots(anchor: bytes, files: Mapping[str, bytes]) -> list[bytes]:
    """The roots from the anchor on, each vouched for by the one before. Raises `TrustError` for a bad link.

    A gap ends the chain: what comes after it cannot be reached yet.
    """
    roots = [anchor]
    version, _ = verify_root(anchor)
    same = files.get(root_file(version))
    if same is not None:
        other, ours = parse(Root, same, root_file(version)), parse(Root, anchor, "the anchor").signed
        if other.signed != ours:
            # Two roots only if our own holders signed the other too: anybody can write one that nobody signed.
            require_seconds(ours, "root", other)
            raise TrustError("TRUST_EQUIVOCATION", f"two different roots of version {version}")
    while (data := files.get(root_file(version + 1))) is not None:
        next_root(roots[-1], data)
        roots.append(data)
        version += 1
    return roots


def verify_generation(
    root: bytes, files: Mapping[str, bytes], *, now_us: int | None, before: Generation | None = None
) -> Generation:
    """The verified content of `files`, under `root` and not older than `before`.

    1. timestamp.json: signed by its role, not expired, not older.
    2. snapshot.json: as the timestamp describes it, nothing in it older.
    3. targets.json and suspensions.json: as the snapshot describes them, signed by their thresholds (targets.json with
       both halves of the keys), not expired.
    4. roster.cbor and suspensions.cbor: as these describe them, well-formed, of the same network, not older; no
       suspension forgotten or begun anew too early.
    The time is the latest of `now_us` and the signed time of the timestamp; with None expiry is left out, for our own
    verified copy and for evidence of the past. Raises `TrustError`.
    """
    missing = [name for name in CURRENT_FILES if name not in files]
    if missing:
        raise TrustError("TRUST_MISMATCH", f"missing: {' '.join(missing)}")
    trusted = _trusted(root, now_us)
    try:
        issued = _update_timestamp(trusted, files[TIMESTAMP], before)
        if now_us is not None:
            trusted.reference_time = utc_time(max(now_us, issued))
            if trusted.root.is_expired(trusted.reference_time):
                raise TrustError("TRUST_EXPIRED", "the root has expired")
        _update_snapshot(trusted, files[SNAPSHOT], before)
        _update_targets(trusted, files, before)
        suspended = _update_suspensions(trusted, files[SUSPENSIONS])
        directory = _open_roster(trusted, files[ROSTER_FILE], before)
        suspensions = _open_suspensions(suspended, files[SUSPENSIONS_FILE], issued, before)
    except FAULTS as error:
        raise translate(error, "trust files") from error
    return Generation(
        files={name: files[name] for name in CURRENT_FILES},
        directory=directory,
        suspensions=suspensions,
        root_version=trusted.root.version,
        timestamp_version=trusted.timestamp.version,
        snapshot_version=trusted.snapshot.version,
        targets_version=trusted.targets.version,
        issued_us=issued,
        fresh_until_us=time_us(trusted.timestamp.expires),
        expires_us=min(time_us(one.expires) for one in (trusted.root, trusted.snapshot, trusted.targets)),
    )


def verify_timestamp(root: bytes, data: bytes, *, now_us: int) -> int:
    """The version of a timestamp that the role signed under this root and that has not expired. Raises `TrustError`."""
    trusted = _trusted(root, now_us)
    try:
        _update_timestamp(trusted, data, None)
    except FAULTS as error:
        raise translate(error, TIMESTAMP) from error
    return trusted.timestamp.version


def verify_roster(files: Mapping[str, bytes], anchor: bytes | str) -> Directory:
    """The directory of a bundled chain, for a reader without network, clock or home (evidence).

    `anchor` is a root file, or a fingerprint that a root of the chain must have. The chain starts at the anchor, or
    at any earlier root from which it is reached; expiry is not judged, since evidence is read years later.
    The directory's `root_fingerprint` is the anchor's. Raises `TrustError`, TRUST_FOREIGN when no root leads there.
    """
    oversized = [name for name, data in files.items() if len(data) > size_limit(name)]
    if oversized:
        raise TrustError("TRUST_MALFORMED", f"too long: {' '.join(sorted(oversized))[:200]}")
    root = anchor if isinstance(anchor, bytes) else _root_with(files, anchor)
    _, known_as = verify_root(root)
    for newest in reversed(chain_roots(root, files)):
        try:
            directory = verify_generation(newest, files, now_us=None).directory
        except TrustError as error:
            fault = error
            continue
        return replace(directory, root_fingerprint=known_as)
    raise fault


def _root_with(files: Mapping[str, bytes], wanted: str) -> bytes:
    """The first root of the bundle with that fingerprint, signed by its own keys."""
    for version in sorted(version for name in files if (version := root_version(name)) is not None):
        data = files[root_file(version)]
        if verify_root(data)[1] == wanted.lower():
            return data
    raise TrustError("TRUST_FOREIGN", "no root in the bundle has that fingerprint")


def _trusted(root: bytes, now_us: int | None) -> TrustedMetadataSet:
    """python-tuf's set with this root in it, checked against itself, at our time instead of the machine's."""
    parse(Root, root, "the root")
    try:
        trusted = TrustedMetadataSet(root, EnvelopeType.METADATA)
    except FAULTS as error:
        raise translate(error, "the root") from error
    trusted.reference_time = utc_time(now_us or 0)
    return trusted


def _update_timestamp(trusted: TrustedMetadataSet, data: bytes, before: Generation | None) -> int:
    """Step 1; returns the signed time."""
    timestamp = parse(Timestamp, data, TIMESTAMP).signed
    require_described([timestamp.snapshot_meta], TIMESTAMP)
    if before is not None:
        try:
            trusted.update_timestamp(before.files[TIMESTAMP])
        except ExpiredMetadataError as error:
            # An expired timestamp is loaded all the same, and still forbids older ones; an expired root ends here.
            if trusted.root.is_expired(trusted.reference_time):
                raise TrustError("TRUST_EXPIRED", "the root has expired") from error
        except UnsignedMetadataError:
            # The timestamp's key was replaced: a stolen one may have signed any version (5.3.11), so it counts no more.
            pass
    try:
        trusted.update_timestamp(data)
    except EqualVersionNumberError as error:
        if timestamp != trusted.timestamp:
            raise TrustError("TRUST_EQUIVOCATION", f"two different timestamps {timestamp.version}") from error
    return issued_us(timestamp)


def _update_snapshot(trusted: TrustedMetadataSet, data: bytes, before: Generation | None) -> None:
    """Step 2."""
    snapshot = parse(Snapshot, data, SNAPSHOT).signed
    require_described(snapshot.meta.values(), SNAPSHOT)
    if snapshot.meta.keys() != {TARGETS, SUSPENSIONS}:
        raise TrustError("TRUST_MALFORMED", f"{SNAPSHOT} does not name exactly {TARGETS} and {SUSPENSIONS}")
    if before is not None:
        # Superseded, expired or of a replaced key: in the first two cases it is loaded and forbids older versions.
        # If it was the timestamp that has expired, the next update says so again.
        with suppress(BadVersionNumberError, ExpiredMetadataError, UnsignedMetadataError):
            trusted.update_snapshot(before.files[SNAPSHOT], trusted=True)
    trusted.update_snapshot(data)
    if before is not None and snapshot.version == before.snapshot_version:
        _require_same(Snapshot, before.files[SNAPSHOT], data, SNAPSHOT)


def _update_targets(trusted: TrustedMetadataSet, files: Mapping[str, bytes], before: Generation | None) -> None:
    """Step 3, the administrators' part."""
    metadata = parse(Targets, files[TARGETS], TARGETS)
    targets = metadata.signed
    if targets.targets.keys() != {ROSTER_FILE}:
        raise TrustError("TRUST_MALFORMED", f"{TARGETS} does not name exactly {ROSTER_FILE}")
    require_described(targets.targets.values(), TARGETS)
    roles = (targets.delegations.roles if targets.delegations else None) or {}
    if roles.keys() != {SUSPENSIONS_ROLE} or roles[SUSPENSIONS_ROLE].paths != [SUSPENSIONS_FILE]:
        raise TrustError("TRUST_MALFORMED", f"{TARGETS} does not delegate exactly {SUSPENSIONS_FILE}")
    trusted.update_targets(files[TARGETS])
    require_seconds(trusted.root, "targets", metadata)
    if before is not None and targets.version == before.targets_version:
        _require_same(Targets, before.files[TARGETS], files[TARGETS], TARGETS)


def _update_suspensions(trusted: TrustedMetadataSet, data: bytes) -> Targets:
    """Step 3, the part of those who may suspend."""
    suspended = parse(Targets, data, SUSPENSIONS).signed
    if suspended.targets.keys() != {SUSPENSIONS_FILE} or suspended.delegations is not None:
        raise TrustError("TRUST_MALFORMED", f"{SUSPENSIONS} does not name exactly {SUSPENSIONS_FILE}")
    require_described(suspended.targets.values(), SUSPENSIONS)
    # Expiry is looked at last, when signatures and hashes have been found right. What an expired file says ended
    # within 72 hours, so it does no harm, and nobody should have to sign every half year that no office is suspended.
    with suppress(ExpiredMetadataError):
        trusted.update_delegated_targets(data, SUSPENSIONS_ROLE, Targets.type)
    return suspended


def _open_roster(trusted: TrustedMetadataSet, data: bytes, before: Generation | None) -> Directory:
    """Step 4, the directory."""
    trusted.targets.targets[ROSTER_FILE].verify_length_and_hashes(data)
    known_as = fingerprint(trusted.root)
    if before is not None and data == before.files[ROSTER_FILE] and before.directory.root_fingerprint == known_as:
        # The daily timestamp: what was read once is not read again.
        return before.directory
    directory = Directory.decode(data, root_fingerprint=known_as)
    if before is None:
        return directory
    if directory.network_id != before.directory.network_id:
        raise TrustError("TRUST_FOREIGN", "a directory of another network")
    if directory.version < before.directory.version:
        raise TrustError("TRUST_ROLLBACK", f"directory {directory.version} after {before.directory.version}")
    if directory.version == before.directory.version and data != before.files[ROSTER_FILE]:
        raise TrustError("TRUST_EQUIVOCATION", f"two different directories {directory.version}")
    return directory


def _open_suspensions(
    suspended: Targets, data: bytes, issued: int, before: Generation | None
) -> tuple[Suspension, ...]:
    """Step 4, the suspensions."""
    suspended.targets[SUSPENSIONS_FILE].verify_length_and_hashes(data)
    suspensions = decode_suspensions(data)
    # One far in the future could not be left out for years, and the list has an end.
    if any(one.since_us > issued + SLACK_US for one in suspensions):
        raise TrustError("TRUST_MALFORMED", "a suspension begins after it was signed")
    lost = None if before is None else forgotten(before.suspensions, suspensions, issued)
    if lost is not None:
        raise TrustError("TRUST_ROLLBACK", f"the suspension of {lost.office_id.hex()} is left out or begun anew")
    return suspensions


def _require_same(kind: type[_T], old: bytes, new: bytes, what: str) -> None:
    """One version has one content; the signatures may differ."""
    if old != new and parse(kind, old, what).signed != parse(kind, new, what).signed:
        raise TrustError("TRUST_EQUIVOCATION", f"two different {what} of one version")
