"""The founding of a network: a ceremony that may be interrupted and gone on with, and leaves no network half-made.

Keys are made one after the other, each in its own file, and each file is whole or absent. Last comes the first signed
generation, in one step; before it there is no network, and whoever runs the ceremony again uses the keys that are
there, once their holders have opened them: what nobody opened is vouched for by nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keys.ceremony.authorities import KIND, found_authority
from keys.ceremony.network import Network, found_network, require_no_network
from keys.files.keyfile import Argon2Cost, Unlock
from keys.files.storage_key import create_storage_key, load_storage_key
from keys.roster.directory import Directory
from keys.trust.holder import Entropy, Holder, read_holder
from keys.trust.making import make_key
from keys.trust.policy import ONLINE_ROLES, PASSPHRASE_ROLES, Policy
from protocol.errors import Refused


@dataclass(frozen=True, slots=True)
class Founding:
    """What a network is founded with.

    `unlock` gives the passphrase for a new key, `open_again` that of a key that an interrupted ceremony left;
    `place` is the folder that a key file goes to, by its label.
    """

    root_dir: Path
    directory: Directory
    policy: Policy
    entropy: Entropy = field(repr=False)
    unlock: Unlock = field(repr=False)
    open_again: Unlock = field(repr=False)
    place: Callable[[str], Path]
    cost: Argon2Cost

    def path(self, label: str) -> Path:
        """Where the key file of that label is."""
        return self.place(label) / f"{label}.key"


def found(founding: Founding, now_us: int) -> Network:
    """Make what is missing and found the network.

    Raises `Refused` FILE_EXISTS when there is a network, or keys that this one would not have; NOT_ENOUGH_KEYS when
    the holder of a key that was made before does not open it; NO_PASSPHRASE; `KeyFileError`, `OSError`.
    """
    require_no_network(founding.root_dir)
    labels = {role: founding.policy.labels(role) for role in (*PASSPHRASE_ROLES, *ONLINE_ROLES)}
    _require_no_others(founding, {label for wanted in labels.values() for label in wanted})
    if not (founding.root_dir / "keys" / "storage.key").exists():
        create_storage_key(founding.root_dir, founding.entropy)
    holders = {role: [_holder(founding, role, label) for label in wanted] for role, wanted in labels.items()}
    if not founding.path(KIND).exists():
        _make_authority(founding)
    return found_network(founding.root_dir, founding.directory, now_us, holders=holders, policy=founding.policy)


def _require_no_others(founding: Founding, labels: set[str]) -> None:
    """Keys beyond those wanted are of a ceremony with other numbers: nothing is guessed about them."""
    known = {*labels, KIND, "storage"}
    places = {founding.place(label) for label in (*labels, KIND)}
    others = sorted(str(path) for place in places for path in place.glob("*.key") if path.stem not in known)
    if others:
        raise Refused("FILE_EXISTS", f"keys of another ceremony: {' '.join(others)[:500]}", field=others[0])


def _holder(founding: Founding, role: str, label: str) -> Holder:
    """The key of an earlier try, opened, or a new one."""
    path = founding.path(label)
    if not path.exists():
        place = founding.place(label)
        return make_key(founding.root_dir, role, label, founding.unlock, founding.entropy, founding.cost, place=place)
    if role in ONLINE_ROLES:
        return read_holder(path, role, label, storage_key=load_storage_key(founding.root_dir))
    passphrase = founding.open_again(label)
    if passphrase is None:
        raise Refused("NOT_ENOUGH_KEYS", f"{path} was made before and must be opened to go on", field=label)
    return read_holder(path, role, label, passphrase=passphrase)


def _make_authority(founding: Founding) -> None:
    """The key and certificate of the network's authority for TLS, sealed under a passphrase."""
    passphrase = founding.unlock(KIND)
    if passphrase is None:
        raise Refused("NO_PASSPHRASE", f"none was given for {KIND}", field=KIND)
    found_authority(founding.root_dir, founding.directory.network, passphrase, founding.entropy, cost=founding.cost)
