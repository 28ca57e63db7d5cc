"""Acts that everybody needed signs at one table: what the command line does over several sittings, in one call."""

from collections.abc import Sequence
from pathlib import Path

from keys.ceremony.act import Act, check_act, sign_act, signatures_of
from keys.ceremony.network import Network, finish, read_network
from keys.ceremony.proposals import (
    Making,
    Rotation,
    propose_change,
    propose_rotation,
    propose_suspensions,
    sitting_over,
)
from keys.files.keyfile import PRODUCTION_COST, Argon2Cost, Unlock
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension
from keys.trust.holder import Entropy, Holder
from keys.trust.policy import DEFAULT_POLICY, Policy
from keys.trust.sitting import not_enough


def publish_directory(
    root_dir: Path,
    directory: Directory,
    now_us: int,
    *,
    unlock: Unlock,
    policy: Policy = DEFAULT_POLICY,
    places: Sequence[Path] = (),
) -> Network:
    """Sign `directory` as the next version, issued now, and everything that depends on it.

    `places` are further folders with key files. Raises `Refused` NOT_ENOUGH_KEYS when fewer holders are there than the
    threshold of the targets role, BAD_FIELD for a directory of another network; `TrustError` when the files on disk
    are damaged; `KeyFileError`; `OSError`.
    """
    files = read_network(root_dir).files
    act = propose_change(files, lambda _before, _at_us: directory, "publish", now_us, policy)
    return carry_out(root_dir, act, now_us, unlock=unlock, policy=policy, places=places)


def publish_suspensions(
    root_dir: Path,
    suspensions: Sequence[Suspension],
    now_us: int,
    *,
    unlock: Unlock,
    policy: Policy = DEFAULT_POLICY,
    places: Sequence[Path] = (),
) -> Network:
    """Sign these as the suspensions in force, in the place of those before; one key of the role is enough.

    Raises like `publish_directory`; `RemoteError` MALFORMED for an office suspended twice.
    """
    act = propose_suspensions(read_network(root_dir).files, suspensions, "suspend", now_us, policy)
    return carry_out(root_dir, act, now_us, unlock=unlock, policy=policy, places=places)


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
    """Give a role all new keys, as many as `policy` says, and sign again what it signs.

    Old key files stay and count no more. Raises like `publish_directory`; `ValueError` for an unknown role.
    """
    files = read_network(root_dir).files
    rotation = Rotation(role, new=policy.keys_of(role), threshold=policy.threshold_of(role))
    making = Making(entropy, unlock, lambda _label: root_dir / "keys", cost)
    act, made = propose_rotation(root_dir, files, rotation, now_us, making=making, policy=policy)
    return carry_out(root_dir, act, now_us, unlock=unlock, policy=policy, made=made)


def carry_out(
    root_dir: Path,
    act: Act,
    now_us: int,
    *,
    unlock: Unlock,
    policy: Policy = DEFAULT_POLICY,
    places: Sequence[Path] = (),
    made: Sequence[Holder] = (),
) -> Network:
    """Let the act be signed and keep what it makes of the network as a new generation.

    `made` are keys that are open already. Raises `Refused` NOT_ENOUGH_KEYS when it has too few signatures then.
    """
    files = read_network(root_dir).files
    check_act(files, act)
    sitting = sitting_over(root_dir, files, unlock, policy, now_us, places)
    sitting.trust_new(made)
    act = sign_act(files, act, sitting)
    missing = next((one for one in signatures_of(files, act) if one.missing), None)
    if missing is not None:
        raise sitting.troubles[0] if sitting.troubles else not_enough(missing.role, missing.missing)
    return finish(root_dir, act, now_us, unlock=unlock, policy=policy)
