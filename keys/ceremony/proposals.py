"""Acts as they are proposed, before anybody signs: a changed directory, other suspensions, new keys for a role."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tuf.api.metadata import Metadata, Root, Targets

from keys.ceremony.act import Act, Files, base_of, newest_root, targets_of
from keys.files.keyfile import PRODUCTION_COST, Argon2Cost, Unlock
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension, encode_suspensions
from keys.times import utc_time
from keys.trust.holder import Entropy, Holder
from keys.trust.making import make_key, set_brake, set_role
from keys.trust.metadata import (
    HOLDERS,
    ROSTER_FILE,
    SECOND_ROLES,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    Pair,
    encode,
    pairs_of,
    parse,
    root_file,
    root_version,
)
from keys.trust.policy import DEFAULT_POLICY, ONLINE_ROLES, Policy
from keys.trust.sitting import Sitting, keys_of, signers_of
from protocol.errors import Refused

ROLES: Final = ("root", "targets", SUSPENSIONS_ROLE, *ONLINE_ROLES)
"""The roles whose keys can be rotated."""

Change = Callable[[Directory, int], Directory]
"""A pure change of the directory, at a time in microseconds. On the same directory it gives the same again."""

_NUMBERED: Final = re.compile(r"[a-z]+-([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Rotation:
    """New keys for a role. `lost` are the labels of the keys that go; none named: all of them.

    `new` and `threshold`: None for as many new keys as go, and for the threshold in force.
    """

    role: str
    lost: tuple[str, ...] = ()
    new: int | None = None
    threshold: int | None = None

    @property
    def name(self) -> str:
        """The name of the act."""
        numbers = "" if self.new is None and self.threshold is None else f" to {self.threshold}/{self.new}"
        return f"rotate {self.role}{''.join(f' --lost {label}' for label in self.lost)}{numbers}"


@dataclass(frozen=True, slots=True)
class Making:
    """What new keys are made with: randomness, passphrases, and the folder that each file goes to, by its label."""

    entropy: Entropy
    unlock: Unlock
    place: Callable[[str], Path]
    cost: Argon2Cost = PRODUCTION_COST


def nobody(_label: str) -> None:
    """The `Unlock` of a sitting in which nothing is signed."""


def sitting_over(
    root_dir: Path, files: Files, unlock: Unlock, policy: Policy, now_us: int, places: Sequence[Path] = ()
) -> Sitting:
    """A sitting under the root and targets of these files."""
    return Sitting(root_dir, newest_root(files), targets_of(files), unlock, policy, now_us, places=places)


def propose_change(files: Files, change: Change, name: str, at_us: int, policy: Policy = DEFAULT_POLICY) -> Act:
    """The act that puts the changed directory in the place of the one in `files`, as the next version.

    Raises what `change` raises, and `Refused` BAD_FIELD for a directory of another network.
    """
    before = Directory.decode(files[ROSTER_FILE])
    changed = change(before, at_us)
    if changed.network_id != before.network_id:
        raise Refused("BAD_FIELD", "the directory is of another network", field="network")
    sitting = sitting_over(Path(), files, nobody, policy, at_us)
    roster = sitting.describe_roster(replace(changed, version=before.version + 1, issued_us=at_us))
    sitting.targets.version += 1
    return Act(name, at_us, base_of(files), {**roster, TARGETS: encode(Metadata(sitting.targets))})


def propose_suspensions(
    files: Files, suspensions: Sequence[Suspension], name: str, at_us: int, policy: Policy = DEFAULT_POLICY
) -> Act:
    """The act that puts these suspensions in the place of those in force; `RemoteError` for an office named twice."""
    return Act(name, at_us, base_of(files), _suspensions(files, encode_suspensions(suspensions), policy, at_us))


def propose_rotation(
    root_dir: Path, files: Files, rotation: Rotation, at_us: int, *, making: Making, policy: Policy = DEFAULT_POLICY
) -> tuple[Act, list[Holder]]:
    """The act that gives a role new keys, and these keys, made now and open.

    Old key files stay and count no more. What the role signed is signed again where too few of its signatures would be
    left. Raises `Refused` NOT_FOUND for a label that the role does not have, BAD_FIELD for numbers that could never
    sign, NO_PASSPHRASE, FILE_EXISTS; `ValueError` for an unknown role; `KeyFileError`, `OSError`.
    """
    role = rotation.role
    if role not in ROLES:
        raise ValueError(f"there is no role {role}")
    root, targets = newest_root(files), targets_of(files)
    delegator: Root | Targets = targets if role == SUSPENSIONS_ROLE else root
    kept = _kept(delegator, rotation)
    count = len(rotation.lost) or len(keys_of(delegator, role)) if rotation.new is None else rotation.new - len(kept)
    threshold = rotation.threshold or delegator.get_delegated_role(role).threshold
    if count < 0 or not 1 <= threshold <= count + len(kept) <= HOLDERS:
        raise Refused("BAD_FIELD", f"{threshold} of {count + len(kept)} keys could never sign", field="quorum")
    made = [
        make_key(root_dir, role, label, making.unlock, making.entropy, making.cost, place=making.place(label))
        for label in _labels(files, role, count, making)
    ]
    pairs = [*kept, *(holder.pair for holder in made)]
    new: dict[str, bytes] = {}
    if role == SUSPENSIONS_ROLE:
        set_brake(targets, [pair.first for pair in pairs])
        new |= _suspensions(files, files[SUSPENSIONS_FILE], policy, at_us)
    else:
        set_role(root, role, pairs, threshold)
        root.version += 1
        root.expires = utc_time(at_us + policy.root_life_us)
        new[root_file(root.version)] = encode(Metadata(root))
    signed = signers_of(root, "targets", parse(Targets, files[TARGETS], TARGETS))
    if role == SUSPENSIONS_ROLE or len(signed) < root.roles["targets"].threshold:
        targets.version += 1
        targets.expires = utc_time(at_us + policy.targets_life_us)
        new[TARGETS] = encode(Metadata(targets))
    return Act(rotation.name, at_us, base_of(files), new), made


def _suspensions(files: Files, data: bytes, policy: Policy, at_us: int) -> dict[str, bytes]:
    """The next suspensions.json, unsigned, and its suspensions.cbor."""
    version = parse(Targets, files[SUSPENSIONS], SUSPENSIONS).signed.version + 1
    named = sitting_over(Path(), files, nobody, policy, at_us).name_suspensions(data, version)
    return {SUSPENSIONS: encode(Metadata(named)), SUSPENSIONS_FILE: data}


def _kept(delegator: Root | Targets, rotation: Rotation) -> list[Pair]:
    """The keys of the role that stay. Raises `Refused` NOT_FOUND for a lost one that it does not have."""
    if not rotation.lost:
        return []
    held = list(keys_of(delegator, rotation.role).values())
    unknown = set(rotation.lost) - {pair.label for pair in held}
    if unknown:
        raise Refused("NOT_FOUND", f"role {rotation.role} has no key {' '.join(sorted(unknown))}", field="lost")
    return [pair for pair in held if pair.label not in rotation.lost]


def _labels(files: Files, role: str, count: int, making: Making) -> list[str]:
    """Labels that no key of the role ever had, as far as roots and key files tell."""
    used = {path.stem for path in making.place(f"{role}-1").glob(f"{role}-*.key")}
    for name in files:
        if role in SECOND_ROLES and root_version(name) is not None:
            used |= {pair.label for pair in pairs_of(parse(Root, files[name], name).signed).values()}
    numbers = [
        int(found[1]) for label in used if label.startswith(f"{role}-") and (found := _NUMBERED.fullmatch(label))
    ]
    first = max(numbers, default=0) + 1
    return [f"{role}-{number}" for number in range(first, first + count)]
