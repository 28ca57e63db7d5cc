"""One sitting of those who sign: their keys, opened for as long as it lasts, and the files they sign."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from keys.files.keyfile import KeyFileHeader, Unlock, read_header
from keys.files.private_files import KeyFileError
from keys.files.storage_key import load_storage_key
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension, encode_suspensions
from keys.times import time_us, utc_time
from keys.trust.holder import Holder, pair_of, read_holder
from keys.trust.metadata import (
    ISSUED_FIELD,
    ROSTER_FILE,
    SECOND_ROLES,
    SNAPSHOT,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    TIMESTAMP,
    Pair,
    by_label,
    describe,
    encode,
    pairs_of,
    parse,
    tuf_key,
)
from keys.trust.policy import Policy
from keys.trust.seconds import signed_by
from protocol.errors import Refused

TRIES: Final = 3
"""How often a holder is asked for a passphrase that does not open the key."""


class Sitting:
    """One sitting: the root and targets in force, and the keys that can be opened."""

    def __init__(
        self,
        root_dir: Path,
        root: Root,
        targets: Targets,
        unlock: Unlock,
        policy: Policy,
        now_us: int,
        *,
        places: Sequence[Path] = (),
    ) -> None:
        """`places` are folders with key files beside `root_dir`/keys: the media that holders brought."""
        self.root = root
        self.targets = targets
        self.now_us = now_us
        self._root_dir = root_dir
        self._places = (root_dir / "keys", *places)
        self._unlock = unlock
        self._policy = policy
        self._opened: dict[bytes, Holder | None] = {}
        self.troubles: list[KeyFileError] = []
        """Why keys did not open that were to be opened."""

    def add(self, metadata: Metadata[Any], role: str, delegator: Root | Targets | None = None) -> int:
        """Add signatures of opened keys until the role's threshold is reached; returns how many are still missing.

        `delegator` says whose keys count, by default the root or targets in force. A key that does not open is passed
        over like one whose holder is not here; `troubles` has the reason.
        """
        delegator = delegator or (self.targets if role == SUSPENSIONS_ROLE else self.root)
        wanted = keys_of(delegator, role)
        for id_ in signers_of(delegator, role, metadata):
            del wanted[id_]
        threshold = delegator.get_delegated_role(role).threshold
        missing = threshold - (len(delegator.get_delegated_role(role).keyids) - len(wanted))
        for holder in self._holders(role, list(wanted.values())):
            if missing <= 0:
                break
            holder.sign(metadata, role)
            missing -= 1
        return max(0, missing)

    def sign(self, signed: Signed, role: str) -> bytes:
        """The file of this content, signed by the role. Raises `Refused` NOT_ENOUGH_KEYS, `KeyFileError`."""
        metadata: Metadata[Any] = Metadata(signed)
        missing = self.add(metadata, role)
        if missing:
            raise self.troubles[0] if self.troubles else not_enough(role, missing)
        return encode(metadata)

    def signers(self, role: str) -> list[Holder]:
        """As many opened keys as the role's threshold. Raises `Refused` NOT_ENOUGH_KEYS, `KeyFileError`."""
        delegator: Root | Targets = self.targets if role == SUSPENSIONS_ROLE else self.root
        threshold = delegator.get_delegated_role(role).threshold
        opened = []
        for holder in self._holders(role, list(keys_of(delegator, role).values())):
            opened.append(holder)
            if len(opened) == threshold:
                return opened
        raise not_enough(role, threshold - len(opened))

    def has_key(self, role: str) -> bool:
        """Whether there is a file of one of the role's keys here."""
        publics = {pair.first + pair.second for pair in keys_of(self.root, role).values()}
        return any(public in publics for public, _ in self._key_files(role))

    def trust_new(self, holders: Sequence[Holder]) -> None:
        """Keys that this sitting has just made are open."""
        self._opened |= {holder.first.public(): holder for holder in holders}

    def _holders(self, role: str, wanted: Sequence[Pair]) -> Iterator[Holder]:
        """The wanted keys that can be opened, one after the other, by label; each is asked for once."""
        files = dict(self._key_files(role)) if wanted else {}
        for pair in by_label(wanted):
            public = pair.first + pair.second
            if pair.first not in self._opened and public in files:
                path, header = files[public]
                try:
                    self._opened[pair.first] = self._open(path, header, role, pair.label or header.label)
                except KeyFileError as error:
                    # Another holder may do as well; if too few do, this is the reason.
                    self._opened[pair.first] = None
                    self.troubles.append(error)
            holder = self._opened.get(pair.first)
            if holder is not None:
                yield holder

    def _open(self, path: Path, header: KeyFileHeader, role: str, label: str) -> Holder | None:
        """The key of a file, or None when its holder is not there. A passphrase that does not fit is asked again."""
        if header.sealed_by == "storage":
            return read_holder(path, role, label, storage_key=load_storage_key(self._root_dir, unlock=self._unlock))
        before: bytes | None = None
        wrong: KeyFileError | None = None
        for _ in range(TRIES):
            passphrase = self._unlock(label)
            # Whoever gives the same again is no person, and a wrong try is counted and slow.
            if passphrase is None or passphrase == before:
                break
            try:
                return read_holder(path, role, label, passphrase=passphrase)
            except KeyFileError as error:
                if error.code != "KEY_FILE_NOT_OPENED":
                    raise
                before, wrong = passphrase, error
        if wrong is not None:
            raise wrong
        return None

    def _key_files(self, role: str) -> Iterator[tuple[bytes, tuple[Path, KeyFileHeader]]]:
        """The role's key files in all places, by their public bytes. Other files are no business of this role."""
        for path in sorted(path for place in self._places for path in place.glob("*.key")):
            try:
                header = read_header(path)
            except KeyFileError as error:
                if path.name.startswith(f"{role}-"):
                    self.troubles.append(error)
                continue
            if header.kind == role:
                pair = pair_of(header)
                yield pair.first + pair.second, (path, header)

    def roster(self, directory: Directory) -> dict[str, bytes]:
        """roster.cbor and a targets.json that names it."""
        roster = self.describe_roster(directory)
        return {**self.targets_file(), **roster}

    def describe_roster(self, directory: Directory) -> dict[str, bytes]:
        """roster.cbor, now named by the targets of this sitting, which nobody has signed yet."""
        roster = directory.encode()
        self.targets.targets = {ROSTER_FILE: TargetFile.from_data(ROSTER_FILE, roster, ["sha256"])}
        self.targets.expires = utc_time(self.now_us + self._policy.targets_life_us)
        return {ROSTER_FILE: roster}

    def targets_file(self) -> dict[str, bytes]:
        """targets.json as it now stands, valid from now on."""
        self.targets.expires = utc_time(self.now_us + self._policy.targets_life_us)
        return {TARGETS: self.sign(self.targets, "targets")}

    def suspensions(self, suspensions: Sequence[Suspension], *, version: int) -> dict[str, bytes]:
        """suspensions.json and what it names."""
        data = encode_suspensions(suspensions)
        return {SUSPENSIONS: self.sign(self.name_suspensions(data, version), SUSPENSIONS_ROLE), SUSPENSIONS_FILE: data}

    def name_suspensions(self, data: bytes, version: int) -> Targets:
        """What suspensions.json says of this suspensions.cbor."""
        target = TargetFile.from_data(SUSPENSIONS_FILE, data, ["sha256"])
        expires = utc_time(self.now_us + self._policy.targets_life_us)
        return Targets(version=version, expires=expires, targets={SUSPENSIONS_FILE: target})

    def snapshot(self, files: Mapping[str, bytes], *, version: int) -> dict[str, bytes]:
        """snapshot.json over these files."""
        meta = {
            name: describe(parse(Targets, files[name], name).signed.version, files[name])
            for name in (TARGETS, SUSPENSIONS)
        }
        expires = utc_time(self.now_us + self._policy.snapshot_life_us)
        return {SNAPSHOT: self.sign(Snapshot(version=version, expires=expires, meta=meta), "snapshot")}

    def timestamp(self, files: Mapping[str, bytes], *, version: int) -> dict[str, bytes]:
        """timestamp.json over this snapshot, with the time at which it is signed."""
        described = describe(parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed.version, files[SNAPSHOT])
        signed = Timestamp(
            version=version,
            expires=utc_time(self.now_us + self._policy.timestamp_life_us),
            snapshot_meta=described,
            unrecognized_fields={ISSUED_FIELD: self.now_us},
        )
        return {TIMESTAMP: self.sign(signed, "timestamp")}

    def renewed(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The next timestamp, and the next snapshot if the present one has lived half its life."""
        snapshot = parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed
        if time_us(snapshot.expires) - self.now_us < self._policy.snapshot_life_us // 2:
            return self.refresh(files)
        return self.timestamp(files, version=parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed.version + 1)

    def refresh(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files with the next snapshot and the next timestamp."""
        snapshot = parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed.version + 1
        timestamp = parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed.version + 1
        signed = {**files, **self.snapshot(files, version=snapshot)}
        return {**signed, **self.timestamp(signed, version=timestamp)}


def keys_of(delegator: Root | Targets, role: str) -> dict[str, Pair]:
    """The keys of a role by their id; roles without second halves have no labels."""
    if isinstance(delegator, Root) and role in SECOND_ROLES:
        pairs = pairs_of(delegator)
        return {id_: pairs[id_] for id_ in delegator.roles[role].keyids}
    ids = delegator.get_delegated_role(role).keyids
    return {id_: Pair("", bytes.fromhex(delegator.get_key(id_).keyval["public"])) for id_ in ids}


def signers_of(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> set[str]:
    """The ids of the role's keys whose signatures, in all their halves, the metadata has."""
    if isinstance(delegator, Root) and role in SECOND_ROLES:
        return {tuf_key(pair.first).keyid for pair in signed_by(delegator, role, metadata)}
    return set(delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures).signed)


def not_enough(role: str, missing: int) -> Refused:
    """The refusal when too few holders of a role are there."""
    return Refused("NOT_ENOUGH_KEYS", f"role {role}: {missing} more of its keys must be opened", field=role)
