"""One sitting of those who sign: their keys, opened for as long as it lasts, and the files they sign."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from securesystemslib.signer import Key, Signature, Signer
from tuf.api.metadata import Metadata, Role, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from keys.directory import Directory
from keys.keyfile import Argon2Cost, Unlock, read_header, read_secret, write_secret
from keys.primitives import SigningKey
from keys.storage_key import load_storage_key
from keys.suspensions import Suspension, encode_suspensions
from keys.trust.metadata import (
    ISSUED_FIELD,
    ROSTER_FILE,
    SNAPSHOT,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    TIMESTAMP,
    describe,
    encode,
    parse,
    tuf_key,
    tuf_time,
)
from protocol.errors import Refused
from protocol.limits import SECOND_US

DAY_US: Final = 86_400 * SECOND_US
PASSPHRASE_ROLES: Final = ("root", "targets", SUSPENSIONS_ROLE)
ONLINE_ROLES: Final = ("snapshot", "timestamp")

Entropy: TypeAlias = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Policy:
    """How many keys each role has, how many of them must sign, and how long what they sign is valid (D8)."""

    root_keys: int = 5
    root_threshold: int = 3
    targets_keys: int = 3
    targets_threshold: int = 2
    suspension_keys: int = 2
    root_life_us: int = 730 * DAY_US
    targets_life_us: int = 180 * DAY_US
    snapshot_life_us: int = 180 * DAY_US
    timestamp_life_us: int = 7 * DAY_US

    def __post_init__(self) -> None:
        if not (1 <= self.root_threshold <= self.root_keys and 1 <= self.targets_threshold <= self.targets_keys):
            raise ValueError("a threshold is at least 1 and at most the number of keys")
        if self.suspension_keys < 1:
            raise ValueError("at least one key must be able to suspend")

    def keys_of(self, role: str) -> int:
        """How many keys the role has."""
        counts = {"root": self.root_keys, "targets": self.targets_keys, SUSPENSIONS_ROLE: self.suspension_keys}
        return counts.get(role, 1)

    def threshold_of(self, role: str) -> int:
        """How many of them must sign."""
        return {"root": self.root_threshold, "targets": self.targets_threshold}.get(role, 1)


DEFAULT_POLICY: Final = Policy()


class KeySigner(Signer):
    """python-tuf's idea of a signer, over one of our keys."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._public = tuf_key(key.public())

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._public.keyid, self._key.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> Signer:
        """Private keys come from our key files only, never by URI."""
        raise ValueError(f"no private key is read from a URI ({priv_key_uri[:20]!r})")

    @property
    def public_key(self) -> Key:
        return self._public


class Sitting:
    """One sitting: the root and targets in force, and the keys that can be opened."""

    def __init__(
        self, root_dir: Path, root: Root, targets: Targets, unlock: Unlock, policy: Policy, now_us: int
    ) -> None:
        self.root = root
        self.targets = targets
        self._root_dir = root_dir
        self._unlock = unlock
        self._policy = policy
        self._now_us = now_us

    def signers(self, role: str) -> list[KeySigner]:
        """As many opened keys as the role's threshold. Raises `Refused` NOT_ENOUGH_KEYS, `KeyFileError`."""
        delegator: Root | Targets = self.targets if role == SUSPENSIONS_ROLE else self.root
        delegated = delegator.get_delegated_role(role)
        publics = {bytes.fromhex(delegator.get_key(id_).keyval["public"]) for id_ in delegated.keyids}
        opened: list[KeySigner] = []
        for path in sorted((self._root_dir / "keys").glob(f"{role}-*.key")):
            header = read_header(path)
            if len(opened) == delegated.threshold or header.public not in publics:
                continue
            passphrase = None if header.sealed_by == "storage" else self._unlock(path.stem)
            if header.sealed_by == "storage":
                seed = read_secret(path, role, storage_key=load_storage_key(self._root_dir, unlock=self._unlock))
            elif passphrase is not None:
                seed = read_secret(path, role, passphrase=passphrase)
            else:
                continue
            opened.append(KeySigner(SigningKey.from_seed(seed)))
        if len(opened) < delegated.threshold:
            detail = f"{role} takes {delegated.threshold} signatures, {len(opened)} of its keys could be opened"
            raise Refused("NOT_ENOUGH_KEYS", detail, field=role)
        return opened

    def sign(self, signed: Signed, role: str) -> bytes:
        """The file of this content, signed by the role."""
        return sign_with(signed, self.signers(role))

    def roster(self, directory: Directory) -> dict[str, bytes]:
        """roster.cbor and a targets.json that names it."""
        roster = directory.encode()
        self.targets.targets = {ROSTER_FILE: TargetFile.from_data(ROSTER_FILE, roster, ["sha256"])}
        return {**self.targets_file(), ROSTER_FILE: roster}

    def targets_file(self) -> dict[str, bytes]:
        """targets.json as it now stands, valid from now on."""
        self.targets.expires = tuf_time(self._now_us + self._policy.targets_life_us)
        return {TARGETS: self.sign(self.targets, "targets")}

    def suspensions(self, suspensions: Sequence[Suspension], *, version: int) -> dict[str, bytes]:
        """suspensions.json and what it names."""
        data = encode_suspensions(suspensions)
        target = TargetFile.from_data(SUSPENSIONS_FILE, data, ["sha256"])
        expires = tuf_time(self._now_us + self._policy.targets_life_us)
        signed = Targets(version=version, expires=expires, targets={SUSPENSIONS_FILE: target})
        return {SUSPENSIONS: self.sign(signed, SUSPENSIONS_ROLE), SUSPENSIONS_FILE: data}

    def snapshot(self, files: Mapping[str, bytes], *, version: int) -> dict[str, bytes]:
        """snapshot.json over these files."""
        meta = {
            name: describe(parse(Targets, files[name], name).signed.version, files[name])
            for name in (TARGETS, SUSPENSIONS)
        }
        expires = tuf_time(self._now_us + self._policy.snapshot_life_us)
        return {SNAPSHOT: self.sign(Snapshot(version=version, expires=expires, meta=meta), "snapshot")}

    def timestamp(self, files: Mapping[str, bytes], *, version: int) -> dict[str, bytes]:
        """timestamp.json over this snapshot, with the time at which it is signed."""
        described = describe(parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed.version, files[SNAPSHOT])
        signed = Timestamp(
            version=version,
            expires=tuf_time(self._now_us + self._policy.timestamp_life_us),
            snapshot_meta=described,
            unrecognized_fields={ISSUED_FIELD: self._now_us},
        )
        return {TIMESTAMP: self.sign(signed, "timestamp")}

    def refresh(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files with the next snapshot and the next timestamp."""
        snapshot = parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed.version + 1
        timestamp = parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed.version + 1
        signed = {**files, **self.snapshot(files, version=snapshot)}
        return {**signed, **self.timestamp(signed, version=timestamp)}


def make_keys(root_dir: Path, role: str, count: int, unlock: Unlock, entropy: Entropy, cost: Argon2Cost) -> list[bytes]:
    """New sealed keys for a role, numbered on from those there; returns their public bytes."""
    directory = root_dir / "keys"
    first = 1 + len(list(directory.glob(f"{role}-*.key")))
    publics = []
    for label in (f"{role}-{number}" for number in range(first, first + count)):
        key = SigningKey.from_seed(entropy(32))
        passphrase = unlock(label) if role in PASSPHRASE_ROLES else None
        storage_key = load_storage_key(root_dir, unlock=unlock) if role in ONLINE_ROLES else None
        if passphrase is None and storage_key is None:
            raise Refused("BAD_FIELD", f"no passphrase for {label}", field=label)
        write_secret(
            directory / f"{label}.key",
            role,
            key.seed(),
            storage_key=storage_key,
            passphrase=passphrase,
            entropy=entropy,
            label=label,
            public=key.public(),
            cost=cost,
        )
        publics.append(key.public())
    return publics


def set_role(root: Root, role: str, publics: Sequence[bytes], threshold: int) -> None:
    """Give a role these keys and this threshold."""
    root.roles[role] = Role([], threshold)
    for public in sorted(publics):
        root.add_key(tuf_key(public), role)


def sign_with(signed: Signed, signers: Sequence[KeySigner]) -> bytes:
    """The metadata file with one signature of each signer."""
    metadata: Metadata[Any] = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return encode(metadata)
