"""New keys for roles, sealed into new files, and how a root comes to name them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tuf.api.metadata import DelegatedRole, Delegations, Key, Role, Root, Targets

from keys.files.keyfile import Argon2Cost, Unlock
from keys.files.storage_key import load_storage_key
from keys.trust.holder import Entropy, Holder, new_holder, write_holder
from keys.trust.metadata import HOLDERS_FIELD, SECOND_ROLES, SUSPENSIONS_FILE, SUSPENSIONS_ROLE, Pair, tuf_key
from keys.trust.policy import ONLINE_ROLES
from protocol.errors import Refused


def make_key(
    root_dir: Path, role: str, label: str, unlock: Unlock, entropy: Entropy, cost: Argon2Cost, *, place: Path
) -> Holder:
    """A new key for a role, sealed as `place`/LABEL.key: under the storage key for the online roles, else a passphrase.

    Raises `Refused` NO_PASSPHRASE, FILE_EXISTS; `KeyFileError`, `OSError`.
    """
    passphrase = None if role in ONLINE_ROLES else unlock(label)
    if passphrase is None and role not in ONLINE_ROLES:
        raise Refused("NO_PASSPHRASE", f"none was given for {label}", field=label)
    holder = new_holder(role, label, entropy)
    write_holder(
        place / f"{label}.key",
        role,
        holder,
        storage_key=load_storage_key(root_dir, unlock=unlock) if role in ONLINE_ROLES else None,
        passphrase=passphrase,
        entropy=entropy,
        cost=cost,
    )
    return holder


def set_role(root: Root, role: str, pairs: Sequence[Pair], threshold: int) -> None:
    """Give a role these keys and this threshold, in the place of those before."""
    held = dict(root.unrecognized_fields.get(HOLDERS_FIELD, {}))
    for id_ in list(root.roles[role].keyids) if role in root.roles else []:
        root.revoke_key(id_, role)
        held.pop(id_, None)
    root.roles[role] = Role([], threshold)
    for pair in sorted(pairs, key=lambda pair: pair.first):
        key = tuf_key(pair.first)
        root.add_key(key, role)
        if role in SECOND_ROLES:
            held[key.keyid] = {"label": pair.label, "mldsa65": pair.second.hex()}
    root.unrecognized_fields[HOLDERS_FIELD] = held


def set_brake(targets: Targets, publics: Iterable[bytes]) -> None:
    """Let these keys suspend, each alone and nobody else."""
    keys: dict[str, Key] = {key.keyid: key for key in map(tuf_key, publics)}
    brake = DelegatedRole(SUSPENSIONS_ROLE, list(keys), 1, terminating=True, paths=[SUSPENSIONS_FILE])
    targets.delegations = Delegations(keys, {SUSPENSIONS_ROLE: brake})
