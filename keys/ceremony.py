"""The network administrator's side of trust: keys made, files signed, versions raised.

    DIR/keys/root-1.key ... targets-1.key ... suspensions-1.key    each behind its own passphrase
    DIR/keys/snapshot-1.key timestamp-1.key storage.key            online keys, and the storage key that opens them
    DIR/network/00000001/ ...                                      the signed files, a directory for each generation

Every act ends in a new generation that was verified as an office would verify it before it is kept, so a ceremony
cannot publish what its readers would refuse. Files and names: keys/trust/metadata.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Root, Targets, Timestamp

from keys.directory import Directory
from keys.generations import list_generations, read_generation, write_generation
from keys.keyfile import PRODUCTION_COST, Argon2Cost, Unlock
from keys.storage_key import create_storage_key
from keys.suspensions import Suspension
from keys.trust.chain import chain_roots, verify_generation, verify_root
from keys.trust.metadata import (
    ROSTER_FILE,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    TIMESTAMP,
    TrustError,
    parse,
    root_file,
    root_version,
    tuf_key,
    tuf_time,
)
from keys.trust.sitting import (
    DEFAULT_POLICY,
    ONLINE_ROLES,
    PASSPHRASE_ROLES,
    Entropy,
    Policy,
    Sitting,
    make_keys,
    set_role,
    sign_with,
)
from protocol.errors import Refused

KEPT_GENERATIONS: Final = 16
"""Generations the administrator keeps: enough to see what changed, and when."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the administrator's directory holds: all files to publish, and what they say."""

    files: Mapping[str, bytes] = field(repr=False)
    directory: Directory
    root_fingerprint: str


def init_network(
    root_dir: Path,
    directory: Directory,
    now_us: int,
    *,
    unlock: Unlock,
    entropy: Entropy,
    policy: Policy = DEFAULT_POLICY,
    cost: Argon2Cost = PRODUCTION_COST,
) -> Network:
    """Make a network: all keys, the first root and the first signed directory (as version 1, issued now).

    `unlock` gives each key's passphrase, by label: root-1 ..., targets-1 ..., suspensions-1 .... Expiry times and
    thresholds are `policy`; `cost` is what a guess of a passphrase costs. `root_dir` may exist, but without keys.
    Raises `Refused` FILE_EXISTS, or BAD_FIELD for a key without passphrase; `OSError`.
    """
    if list_generations(root_dir / "network"):
        raise Refused("FILE_EXISTS", f"{root_dir} holds a network already", field=str(root_dir))
    create_storage_key(root_dir, entropy)
    publics = {
        role: make_keys(root_dir, role, policy.keys_of(role), unlock, entropy, cost)
        for role in (*PASSPHRASE_ROLES, *ONLINE_ROLES)
    }
    root = Root(version=1, expires=tuf_time(now_us + policy.root_life_us), consistent_snapshot=False)
    for role in ("root", "targets", *ONLINE_ROLES):
        set_role(root, role, publics[role], policy.threshold_of(role))
    suspenders = {key.keyid: key for key in map(tuf_key, publics[SUSPENSIONS_ROLE])}
    brake = DelegatedRole(SUSPENSIONS_ROLE, list(suspenders), 1, terminating=True, paths=[SUSPENSIONS_FILE])
    targets = Targets(version=1, delegations=Delegations(dict[str, Key](suspenders), {SUSPENSIONS_ROLE: brake}))
    sitting = Sitting(root_dir, root, targets, unlock, policy, now_us)
    files = {root_file(1): sitting.sign(root, "root")}
    files |= sitting.roster(replace(directory, version=1, issued_us=now_us))
    files |= sitting.suspensions((), version=1)
    files |= sitting.snapshot(files, version=1)
    files |= sitting.timestamp(files, version=1)
    return _keep(root_dir, files, now_us)


def publish_directory(
    root_dir: Path, directory: Directory, now_us: int, *, unlock: Unlock, policy: Policy = DEFAULT_POLICY
) -> Network:
    """Sign `directory` as the next version, issued now, and everything that depends on it.

    Raises `Refused` NOT_ENOUGH_KEYS when fewer holders are there than the threshold of the targets role, BAD_FIELD for
    a directory of another network; `TrustError` when the files on disk are damaged; `KeyFileError`; `OSError`.
    """
    files, sitting = _open(root_dir, unlock, policy, now_us)
    before = Directory.decode(files[ROSTER_FILE])
    if directory.network_id != before.network_id:
        raise Refused("BAD_FIELD", "the directory is of another network", field="network")
    sitting.targets.version += 1
    files |= sitting.roster(replace(directory, version=before.version + 1, issued_us=now_us))
    return _keep(root_dir, sitting.refresh(files), now_us)


def publish_suspensions(
    root_dir: Path,
    suspensions: Sequence[Suspension],
    now_us: int,
    *,
    unlock: Unlock,
    policy: Policy = DEFAULT_POLICY,
) -> Network:
    """Sign these as the suspensions in force, in the place of those before; one key of the role is enough.

    Raises like `publish_directory`; `RemoteError` MALFORMED for an office suspended twice.
    """
    files, sitting = _open(root_dir, unlock, policy, now_us)
    version = parse(Targets, files[SUSPENSIONS], SUSPENSIONS).signed.version + 1
    files |= sitting.suspensions(suspensions, version=version)
    return _keep(root_dir, sitting.refresh(files), now_us)


def renew_timestamp(root_dir: Path, now_us: int, *, policy: Policy = DEFAULT_POLICY) -> Network:
    """Sign the timestamp again, daily and unattended; needs the storage key and no passphrase.

    Raises `TrustError`, `KeyFileError`, `OSError`.
    """
    files, sitting = _open(root_dir, lambda _label: None, policy, now_us)
    files |= sitting.timestamp(files, version=parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed.version + 1)
    return _keep(root_dir, files, now_us)


def rotate_keys(
    root_dir: Path,
    role: str,
    now_us: int,
    *,
    unlock: Unlock,
    entropy: Entropy,
    policy: Policy = DEFAULT_POLICY,
    cost: Argon2Cost = PRODUCTION_COST,
) -> Network:
    """Give a role (`root`, `targets`, `snapshot` or `timestamp`) all new keys, by a new root.

    The root is signed by enough of its old keys and, for role root, enough of its new ones. What the role signs
    is signed again. Old key files stay and count no more. Raises like `publish_directory`; `ValueError` for another.
    """
    if role not in ("root", "targets", *ONLINE_ROLES):
        raise ValueError(f"the keys of role {role} are not rotated by the root")
    files, sitting = _open(root_dir, unlock, policy, now_us)
    root, old = sitting.root, sitting.signers("root")
    publics = make_keys(root_dir, role, policy.keys_of(role), unlock, entropy, cost)
    for key_id in list(root.roles[role].keyids):
        root.revoke_key(key_id, role)
    set_role(root, role, publics, policy.threshold_of(role))
    root.version += 1
    root.expires = tuf_time(now_us + policy.root_life_us)
    new = sitting.signers("root") if role == "root" else []
    files[root_file(root.version)] = sign_with(root, [*old, *new])
    if role == "targets":
        sitting.targets.version += 1
        files |= sitting.targets_file()
    # The timestamp is renewed in any case, since it may have expired since the last act.
    files = sitting.refresh(files)
    return _keep(root_dir, files, now_us)


def read_network(root_dir: Path) -> Network:
    """The newest generation, verified but for its age. Raises `TrustError` TRUST_MISSING or another; `OSError`."""
    generations = list_generations(root_dir / "network")
    if not generations:
        raise TrustError("TRUST_MISSING", f"{root_dir} holds no network")
    return _verified(read_generation(generations[0]), None)


def _open(root_dir: Path, unlock: Unlock, policy: Policy, now_us: int) -> tuple[dict[str, bytes], Sitting]:
    """The files on disk, verified, and a sitting over them."""
    files = dict(read_network(root_dir).files)
    newest = max(version for name in files if (version := root_version(name)) is not None)
    root = parse(Root, files[root_file(newest)], "the root").signed
    targets = parse(Targets, files[TARGETS], TARGETS).signed
    return files, Sitting(root_dir, root, targets, unlock, policy, now_us)


def _verified(files: Mapping[str, bytes], now_us: int | None) -> Network:
    """The network these files describe, checked from the first root on as an office would."""
    roots = chain_roots(files[root_file(1)], files)
    generation = verify_generation(roots[-1], files, now_us=now_us)
    named = {root_file(number): root for number, root in enumerate(roots, start=1)}
    return Network({**named, **generation.files}, generation.directory, verify_root(roots[-1])[1])


def _keep(root_dir: Path, files: Mapping[str, bytes], now_us: int) -> Network:
    """Write the files as the newest generation, if an office would take them."""
    network = _verified(files, now_us)
    write_generation(root_dir / "network", network.files, keep=KEPT_GENERATIONS)
    return network
