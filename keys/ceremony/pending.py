"""Acts that wait for more signatures, and how several administrators carry one out at different times.

    DIR/pending/0001.act ...     in the order in which they can be carried out, each following the one before

Whoever runs the same command later gives the next signature; the change is computed again from the time that the act
bears, so that nobody signs what his own command would not do. The same holder twice counts once (keys/ceremony/act.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.ceremony.act import (
    ACT_BYTES,
    Act,
    Files,
    Signatures,
    check_act,
    joined,
    same_content,
    short_id,
    sign_act,
    signatures_of,
    valid_until,
)
from keys.ceremony.network import Network, finish, read_network
from keys.ceremony.proposals import Change, propose_change, sitting_over
from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError, fsync_directory, replace
from keys.trust.holder import Holder
from keys.trust.metadata import TrustError, root_version, tuf_key
from keys.trust.policy import DAY_US, DEFAULT_POLICY, ONLINE_ROLES, Policy
from keys.trust.sitting import Sitting, not_enough
from protocol.errors import Refused, RemoteError
from protocol.limits import CLOCK_AHEAD_US

ACTS: Final = 100
"""Most acts that wait at once."""

_NAME: Final = re.compile(r"[0-9]{4}\.act")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An act that waits. `files` are the trust files that it follows; None when it follows none any more: outdated."""

    path: Path
    act: Act
    files: Files | None

    @property
    def signatures(self) -> list[Signatures]:
        """Who has signed what; [] for one that is outdated."""
        return [] if self.files is None else signatures_of(self.files, self.act)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who is here: how keys are opened, where their files are, and which were made just now."""

    unlock: Unlock
    places: Sequence[Path] = ()
    made: Sequence[Holder] = ()
    policy: Policy = DEFAULT_POLICY


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act: `network` is the newest generation, with the act in it if `path` is None.

    Otherwise the act waits as `path`: for more signatures, or, when it has them all, to be carried out where the
    online keys are. `holders` gave their signatures now or before; `troubles` is why keys that were here did not open.
    """

    act: Act
    network: Network
    signatures: tuple[Signatures, ...]
    path: Path | None = None
    troubles: tuple[KeyFileError, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it was carried out."""
        return self.path is None

    @property
    def holders(self) -> tuple[str, ...]:
        """All who have signed, by label."""
        return tuple(sorted({label for one in self.signatures for label in one.holders}))


def waiting_acts(root_dir: Path, files: Files) -> list[Waiting]:
    """The acts that wait, in their order, over these files. Raises `TrustError` for one that is damaged; `OSError`."""
    place = root_dir / "pending"
    names = sorted(path for path in place.iterdir() if _NAME.fullmatch(path.name)) if place.is_dir() else []
    found = []
    under = files
    for path in names:
        act = read_act(path)
        try:
            check_act(under, act)
        except TrustError:
            # What it followed was not carried out, or something else was: its signatures are for nothing. What was
            # begun later does not follow it.
            found.append(Waiting(path, act, None))
        else:
            found.append(Waiting(path, act, under))
            under = {**under, **act.files}
    return found


def read_act(path: Path) -> Act:
    """The act in a file, which is no secret. Raises `TrustError` TRUST_MALFORMED, `OSError`."""
    try:
        with path.open("rb") as file:
            return Act.decode(file.read(ACT_BYTES + 1))
    except RemoteError as error:
        raise TrustError("TRUST_MALFORMED", f"{path.name}: {error.detail}") from error


def change_jointly(root_dir: Path, change: Change, name: str, now_us: int, signers: Signers) -> Outcome:
    """Change the directory with the signatures of who is here; with too few the act waits for others.

    Raises what `change` raises; `Refused` NOT_ENOUGH_KEYS when nobody is here, ACT_DIFFERS when an act of this name
    waits that would do something else, ACT_WAITS when another comes before it; `TrustError`, `KeyFileError`, `OSError`.
    """
    network = read_network(root_dir)
    waiting = [one for one in waiting_acts(root_dir, network.files) if one.files is not None]
    known = find_waiting(waiting, name)
    if known is not None:
        again = propose_change(network.files, change, name, known.act.at_us, signers.policy)
        if not same_content(again, known.act):
            raise Refused("ACT_DIFFERS", f"{known.path.name} waits under the name “{name}”", field="act")
        return sign_waiting(root_dir, network, known, now_us, signers)
    sitting = _sitting(root_dir, network, now_us, signers)
    act = sign_act(network.files, propose_change(network.files, change, name, now_us, signers.policy), sitting)
    under: Files = network.files
    if waiting and any(one.missing for one in signatures_of(under, act)):
        # Those before it are not undone: it comes after them.
        under = {**(waiting[-1].files or {}), **waiting[-1].act.files}
        act = sign_act(under, propose_change(under, change, name, now_us, signers.policy), sitting)
    return _conclude(root_dir, network, Waiting(_next_path(root_dir), act, under), now_us, sitting, signers)


def propose_jointly(root_dir: Path, act: Act, now_us: int, signers: Signers) -> Outcome:
    """Sign a new act over the newest generation; with too few signatures it waits. Raises like `change_jointly`."""
    network = read_network(root_dir)
    check_act(network.files, act)
    sitting = _sitting(root_dir, network, now_us, signers)
    signed = sign_act(network.files, act, sitting)
    return _conclude(root_dir, network, Waiting(_next_path(root_dir), signed, network.files), now_us, sitting, signers)


def sign_waiting(root_dir: Path, network: Network, waiting: Waiting, now_us: int, signers: Signers) -> Outcome:
    """Add the signatures of who is here to an act that waits, and carry it out when there are enough.

    Raises `Refused` ACT_OUTDATED; CLOCK_BEHIND for an act of the future; `TrustError` for files valid for too long.
    """
    if waiting.files is None:
        raise Refused("ACT_OUTDATED", waiting.act.name, field="act")
    _require_time(waiting.act, now_us, signers.policy)
    sitting = _sitting(root_dir, network, now_us, signers)
    before = waiting.signatures
    act = sign_act(waiting.files, waiting.act, sitting)
    if signatures_of(waiting.files, act) == before and sitting.troubles:
        raise sitting.troubles[0]
    return _conclude(root_dir, network, Waiting(waiting.path, act, waiting.files), now_us, sitting, signers)


def find_waiting(waiting: Sequence[Waiting], name: str) -> Waiting | None:
    """The waiting act of that name, if it is its turn. Raises `Refused` ACT_WAITS when another comes first."""
    for place, one in enumerate(waiting):
        if one.act.name == name:
            if place:
                raise Refused("ACT_WAITS", f"“{waiting[0].act.name}” comes first", field="act")
            return one
    return None


def drop_waiting(root_dir: Path, waiting: Waiting) -> None:
    """Forget an act; those that follow it are outdated by that."""
    waiting.path.unlink()
    fsync_directory(root_dir / "pending")


def _require_time(act: Act, now_us: int, policy: Policy) -> None:
    """The time of an act is of whoever proposed it, and all it computes follows from it: keys, and until when they and
    the files are valid. One that lies ahead would put off every expiry, unseen.
    """
    if act.at_us > now_us + CLOCK_AHEAD_US:
        raise Refused("CLOCK_BEHIND", "the act was begun later than it is here", field="act")
    for name, until_us in valid_until(act):
        life_us = policy.root_life_us if root_version(name) is not None else policy.targets_life_us
        if until_us > act.at_us + life_us:
            raise TrustError("TRUST_MALFORMED", f"{name} would be valid for longer than {life_us // DAY_US} days")


def _conclude(
    root_dir: Path, network: Network, waiting: Waiting, now_us: int, sitting: Sitting, signers: Signers
) -> Outcome:
    """Carry the act out, or keep it until more have signed. One that only its own new keys have signed is not kept."""
    waiting = _beside_others(root_dir, waiting)
    signatures = tuple(signatures_of(waiting.files or network.files, waiting.act))
    missing = next((one for one in signatures if one.missing), None)
    if missing is not None and not any(set(one.holders) - _names_of(signers.made) for one in signatures):
        raise sitting.troubles[0] if sitting.troubles else not_enough(missing.role, missing.missing)
    troubles = tuple(sitting.troubles)
    # First it is written down: signatures that people gave are not lost to a crash or a full disk.
    replace(waiting.path, waiting.act.encode())
    if missing is not None or not all(sitting.has_key(role) for role in ONLINE_ROLES):
        return Outcome(waiting.act, network, signatures, waiting.path, troubles)
    done = finish(root_dir, waiting.act, now_us, unlock=signers.unlock, policy=signers.policy)
    drop_waiting(root_dir, waiting)
    return Outcome(waiting.act, done, signatures, None, troubles)


def _names_of(made: Sequence[Holder]) -> set[str]:
    """What signatures call these keys: by their labels, or, where a role keeps none, by their ids."""
    return {name for one in made for name in (one.label, short_id(tuf_key(one.first.public()).keyid))}


def _beside_others(root_dir: Path, waiting: Waiting) -> Waiting:
    """As others left it while this holder was asked for a passphrase: with their signatures, in nobody's place."""
    if not waiting.path.exists():
        return waiting
    there = read_act(waiting.path)
    if same_content(there, waiting.act):
        return Waiting(waiting.path, joined(waiting.act, there), waiting.files)
    return Waiting(_next_path(root_dir), waiting.act, waiting.files)


def _sitting(root_dir: Path, network: Network, now_us: int, signers: Signers) -> Sitting:
    sitting = sitting_over(root_dir, network.files, signers.unlock, signers.policy, now_us, signers.places)
    sitting.trust_new(signers.made)
    return sitting


def _next_path(root_dir: Path) -> Path:
    """Where the next act is kept. Raises `Refused` TOO_LARGE when too many wait."""
    place = root_dir / "pending"
    names = [path.name for path in place.iterdir() if _NAME.fullmatch(path.name)] if place.is_dir() else []
    if len(names) >= ACTS:
        raise Refused("TOO_LARGE", f"{len(names)} acts wait already", field="act")
    return place / f"{int(max(names, default='0000')[:4]) + 1:04d}.act"
