"""The roles of a network as its files have them: who holds keys, how many must sign, until when it is valid."""

from dataclasses import dataclass

from tuf.api.metadata import Snapshot, Targets, Timestamp

from keys.ceremony.act import Files, newest_root, targets_of
from keys.times import time_us
from keys.trust.metadata import (
    SNAPSHOT,
    SUSPENSIONS,
    SUSPENSIONS_ROLE,
    TIMESTAMP,
    by_label,
    parse,
)
from keys.trust.sitting import keys_of


@dataclass(frozen=True, slots=True)
class Role:
    """One role. `holders` are labels, or the beginning of key ids where keys have no label.

    `version` and `expires_us` are those of the file that the role signs.
    """

    name: str
    threshold: int
    holders: tuple[str, ...]
    version: int
    expires_us: int


def roles_of(files: Files) -> list[Role]:
    """The roles of a whole set of verified files: root, targets, suspensions, snapshot, timestamp."""
    root, targets = newest_root(files), targets_of(files)
    signed = {
        "root": root,
        "targets": targets,
        SUSPENSIONS_ROLE: parse(Targets, files[SUSPENSIONS], SUSPENSIONS).signed,
        "snapshot": parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed,
        "timestamp": parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed,
    }
    found = []
    for name, one in signed.items():
        delegator = targets if name == SUSPENSIONS_ROLE else root
        keys = keys_of(delegator, name)
        ids = {pair.first: id_ for id_, pair in keys.items()}
        holders = tuple(pair.label or ids[pair.first][:16] for pair in by_label(keys.values()))
        threshold = delegator.get_delegated_role(name).threshold
        found.append(Role(name, threshold, holders, one.version, time_us(one.expires)))
    return found
