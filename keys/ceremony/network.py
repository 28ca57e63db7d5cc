"""The network administrators' side of trust: keys made, files signed, versions raised.

    DIR/keys/root-1.key ... targets-1.key ... suspensions-1.key    each behind its own passphrase, here or on its medium
    DIR/keys/snapshot-1.key timestamp-1.key storage.key            online keys, and the storage key that opens them
    DIR/network/00000001/ ...                                      the signed files, a directory for each generation
    DIR/pending/0001.act ...                                       acts that wait for more signatures (pending.py)

Every act ends in a new generation that was verified as an office would verify it before it is kept, so a ceremony
cannot publish what its readers would refuse. Files and names: keys/trust/metadata.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tuf.api.metadata import Root, Targets, Timestamp

from keys.ceremony.act import Act, Files, check_act
from keys.ceremony.proposals import nobody, sitting_over
from keys.files.generations import list_generations, read_generation, write_generation
from keys.files.keyfile import PRODUCTION_COST, Argon2Cost, Unlock
from keys.files.locks import locked
from keys.files.storage_key import create_storage_key
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension
from keys.times import utc_time
from keys.trust.chain import Generation, chain_roots, verify_generation, verify_root
from keys.trust.holder import Entropy, Holder
from keys.trust.making import make_key, set_brake, set_role
from keys.trust.metadata import (
    SUSPENSIONS_ROLE,
    TIMESTAMP,
    TrustError,
    is_trust_file,
    issued_us,
    parse,
    root_file,
    root_version,
)
from keys.trust.policy import DEFAULT_POLICY, ONLINE_ROLES, PASSPHRASE_ROLES, Policy
from keys.trust.sitting import Sitting
from protocol.errors import Refused

KEPT_GENERATIONS: Final = 16
"""Generations the administrator keeps: enough to see what changed, and when."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the administrator's directory holds: all files to publish, and what they say."""

    files: Mapping[str, bytes] = field(repr=False)
    generation: Generation = field(repr=False)
    root_fingerprint: str

    @property
    def directory(self) -> Directory:
        """The directory in force."""
        return self.generation.directory

    @property
    def suspensions(self) -> tuple[Suspension, ...]:
        """The suspensions that were signed last; they may have ended."""
        return self.generation.suspensions


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
    Raises `Refused` FILE_EXISTS, or NO_PASSPHRASE for a key without one; `OSError`.
    """
    require_no_network(root_dir)
    create_storage_key(root_dir, entropy)
    holders = {
        role: [
            make_key(root_dir, role, label, unlock, entropy, cost, place=root_dir / "keys")
            for label in policy.labels(role)
        ]
        for role in (*PASSPHRASE_ROLES, *ONLINE_ROLES)
    }
    return found_network(root_dir, directory, now_us, holders=holders, policy=policy)


def require_no_network(root_dir: Path) -> None:
    """Raise `Refused` FILE_EXISTS when the directory holds a network already."""
    if list_generations(root_dir / "network"):
        raise Refused("FILE_EXISTS", f"{root_dir} holds a network already", field=str(root_dir))


def found_network(
    root_dir: Path, directory: Directory, now_us: int, *, holders: Mapping[str, Sequence[Holder]], policy: Policy
) -> Network:
    """The first generation of a network with these keys, all of them open. Raises like `init_network`."""
    root = Root(version=1, expires=utc_time(now_us + policy.root_life_us), consistent_snapshot=False)
    for role in ("root", "targets", *ONLINE_ROLES):
        set_role(root, role, [holder.pair for holder in holders[role]], policy.threshold_of(role))
    targets = Targets(version=1)
    set_brake(targets, [holder.first.public() for holder in holders[SUSPENSIONS_ROLE]])
    sitting = Sitting(root_dir, root, targets, nobody, policy, now_us)
    sitting.trust_new([holder for role in holders.values() for holder in role])
    files = {root_file(1): sitting.sign(root, "root")}
    files |= sitting.roster(replace(directory, version=1, issued_us=now_us))
    files |= sitting.suspensions((), version=1)
    files |= sitting.snapshot(files, version=1)
    files |= sitting.timestamp(files, version=1)
    require_no_network(root_dir)
    return _keep(root_dir, files, now_us, None)


def renew_timestamp(
    root_dir: Path, now_us: int, *, unlock: Unlock = nobody, policy: Policy = DEFAULT_POLICY
) -> Network:
    """Sign the timestamp again, daily and unattended; needs the storage key and no holder.

    When the snapshot has lived half its life, it is signed again too. Raises `TrustError`, `KeyFileError`, `OSError`.
    """
    with locked(root_dir / "network"):
        network = read_network(root_dir)
        files = dict(network.files)
        files |= sitting_over(root_dir, files, unlock, policy, now_us).renewed(files)
        return _keep(root_dir, files, now_us, network)


def finish(
    root_dir: Path, act: Act, now_us: int, *, unlock: Unlock = nobody, policy: Policy = DEFAULT_POLICY
) -> Network:
    """Keep what a wholly signed act makes of the network, under a new snapshot and timestamp.

    Raises `TrustError` for an act that does not follow the network or has too few signatures; `KeyFileError`.
    """
    with locked(root_dir / "network"):
        network = read_network(root_dir)
        check_act(network.files, act)
        files = {**network.files, **act.files}
        sitting = sitting_over(root_dir, files, unlock, policy, now_us)
        return _keep(root_dir, sitting.refresh(files), now_us, network)


def adopt_network(root_dir: Path, files: Files, now_us: int) -> Network:
    """Take a newer generation that another administrator signed, as an office would; the roots come along.

    What is older than what is here changes nothing. Raises `TrustError`, `OSError`.
    """
    with locked(root_dir / "network"):
        network = read_network(root_dir)
        known = {name: data for name, data in files.items() if is_trust_file(name)}
        stamp = known.get(TIMESTAMP)
        signed_us = -1 if stamp is None else issued_us(parse(Timestamp, stamp, TIMESTAMP).signed)
        if signed_us <= network.generation.issued_us and not any(
            root_version(one) for one in known.keys() - network.files.keys()
        ):
            return network
        return _keep(root_dir, {**network.files, **known}, now_us, network)


def read_network(root_dir: Path) -> Network:
    """The newest generation, verified but for its age. Raises `TrustError` TRUST_MISSING or another; `OSError`."""
    generations = list_generations(root_dir / "network")
    if not generations:
        raise TrustError("TRUST_MISSING", f"{root_dir} holds no network")
    return _verified(read_generation(generations[0]), None, None)


def _verified(files: Files, now_us: int | None, before: Network | None) -> Network:
    """The network these files describe, checked as an office would that knows the one before."""
    roots = chain_roots(files[root_file(1)], files)
    known = None if before is None else before.generation
    generation = verify_generation(roots[-1], files, now_us=now_us, before=known)
    named = {root_file(number): root for number, root in enumerate(roots, start=1)}
    fingerprint = verify_root(roots[-1])[1]
    return Network({**named, **generation.files}, generation, fingerprint)


def _keep(root_dir: Path, files: Files, now_us: int, before: Network | None) -> Network:
    """Write the files as the newest generation, if an office would take them."""
    network = _verified(files, now_us, before)
    write_generation(root_dir / "network", network.files, keep=KEPT_GENERATIONS)
    return network
