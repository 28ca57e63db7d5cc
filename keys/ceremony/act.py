"""An act of the network's administrators: what is to be signed, and who has signed it so far.

An act is a file that can travel: the new versions of some trust files, with the signatures that they have. Those who
must sign do so one after the other, at different times and on different machines; with the last of them it can be
carried out (keys/ceremony/network.py). It belongs to the root and targets that it follows, and to no others.
Wire form: canonical CBOR {0 version, 1 name, 2 time, 3 base, 4 [[file name, bytes]]}, files sorted by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from tuf.api.metadata import Metadata, Root, Targets

from keys.primitives import sha256
from keys.roster.directory import Directory
from keys.times import time_us
from keys.trust.metadata import (
    ROSTER_FILE,
    SUSPENSIONS,
    SUSPENSIONS_FILE,
    SUSPENSIONS_ROLE,
    TARGETS,
    TrustError,
    encode,
    parse,
    root_file,
    root_version,
    size_limit,
)
from keys.trust.sitting import Sitting, keys_of, signers_of
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.limits import DIGEST_BYTES, DIRECTORY_BYTES

ACT_VERSION: Final = 1
ACT_BYTES: Final = DIRECTORY_BYTES + 1024 * 1024
"""Longest act: a directory, a root and what names them."""

NAME_CHARACTERS: Final = 1_000
"""Longest name of an act; longer ones are cut where they are made."""

_FILES: Final = 5

Files: TypeAlias = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Act:
    """What is to become of the trust files: `files` are new, the others stay.

    `name` says in English what is done and is the same whoever does it; `at_us` is the time that it bears; `base` is
    the content of root and targets that it follows (`base_of`).
    """

    name: str
    at_us: int
    base: bytes
    files: Files = field(repr=False)

    def encode(self) -> bytes:
        """The act as a file."""
        files = [[name, data] for name, data in sorted(self.files.items())]
        return cbor.dumps({0: ACT_VERSION, 1: self.name, 2: self.at_us, 3: self.base, 4: files})

    @staticmethod
    def decode(data: bytes) -> "Act":
        """The act of a file. Raises `RemoteError` TOO_LARGE, BAD_VERSION or MALFORMED; what it says is not verified."""
        f = Fields(cbor.loads(data, max_bytes=ACT_BYTES), "an act")
        f.version(ACT_VERSION)
        name, at_us, base = f.text(1, NAME_CHARACTERS), f.uint(2), f.fixed(3, DIGEST_BYTES)
        files: dict[str, bytes] = {}
        for pair in f.array(4, _FILES):
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or type(pair[1]) is not bytes:
                raise RemoteError("MALFORMED", "a file of an act is not a name with bytes")
            if pair[0] <= max(files, default="") or len(pair[1]) > size_limit(pair[0]):
                raise RemoteError("MALFORMED", "files of an act are not sorted, or one is too long")
            files[pair[0]] = pair[1]
        f.done()
        if not name.isprintable() or not files:
            raise RemoteError("MALFORMED", "an act without a printable name, or without files")
        return Act(name, at_us, base, files)


@dataclass(frozen=True, slots=True)
class Signatures:
    """Who has signed one file of an act for a role, by label, and how many more must."""

    file: str
    role: str
    holders: tuple[str, ...]
    threshold: int

    @property
    def missing(self) -> int:
        """How many more signatures it takes."""
        return max(0, self.threshold - len(self.holders))


def newest_root(files: Files) -> Root:
    """The last root of a whole set of files."""
    newest = max(version for name in files if (version := root_version(name)) is not None)
    return parse(Root, files[root_file(newest)], "the root").signed


def targets_of(files: Files) -> Targets:
    """What targets.json says."""
    return parse(Targets, files[TARGETS], TARGETS).signed


def base_of(files: Files) -> bytes:
    """SHA-256 over what the newest root and targets.json say, whoever has signed it."""
    signed = (Metadata(newest_root(files)).signed_bytes, Metadata(targets_of(files)).signed_bytes)
    return sha256(b"relay/1/act" + cbor.dumps(list(signed)))


def valid_until(act: Act) -> list[tuple[str, int]]:
    """The signed files of an act, each with the end of its validity in microseconds. Raises `TrustError`."""
    signed = [name for name in act.files if name not in (ROSTER_FILE, SUSPENSIONS_FILE)]
    return [(name, time_us(_metadata(name, act.files[name]).signed.expires)) for name in signed]


def same_content(one: Act, other: Act) -> bool:
    """Whether two acts would have the same effect; who has signed them does not count."""
    return one.files.keys() == other.files.keys() and all(
        _content(name, data) == _content(name, other.files[name]) for name, data in one.files.items()
    )


def joined(one: Act, other: Act) -> Act:
    """An act with the signatures that another copy of it, of the same content, has besides. Raises `TrustError`."""
    files = dict(one.files)
    for name in files.keys() - {ROSTER_FILE, SUSPENSIONS_FILE}:
        metadata = _metadata(name, files[name])
        metadata.signatures = _metadata(name, other.files[name]).signatures | metadata.signatures
        files[name] = encode(metadata)
    return replace(one, files=files)


def check_act(files: Files, act: Act) -> None:
    """Raise `TrustError` unless the act follows these files: next versions, the same network, nothing left out.

    What it would make of the network is verified once more, as an office would, when it is carried out.
    """
    if act.base != base_of(files):
        raise TrustError("TRUST_MISMATCH", "the act does not follow the network as it now is")
    before, directory = newest_root(files), Directory.decode(files[ROSTER_FILE])
    new_root = root_file(before.version + 1)
    known = {new_root, TARGETS, ROSTER_FILE, SUSPENSIONS, SUSPENSIONS_FILE}
    if not act.files.keys() <= known:
        raise TrustError("TRUST_MALFORMED", f"an act may not change {' '.join(sorted(act.files.keys() - known))[:200]}")
    if new_root in act.files and parse(Root, act.files[new_root], new_root).signed.version != before.version + 1:
        raise TrustError("TRUST_MISMATCH", "not the next root")
    if TARGETS in act.files and targets_of(act.files).version != targets_of(files).version + 1:
        raise TrustError("TRUST_MISMATCH", "not the next targets")
    if SUSPENSIONS in act.files and _version(act.files) != _version(files) + 1:
        raise TrustError("TRUST_MISMATCH", "not the next suspensions")
    if ROSTER_FILE in act.files:
        roster = Directory.decode(act.files[ROSTER_FILE])
        if TARGETS not in act.files or roster.network_id != directory.network_id:
            raise TrustError("TRUST_FOREIGN", "a directory of another network, or one that nothing names")
        if roster.version != directory.version + 1:
            raise TrustError("TRUST_MISMATCH", "not the next directory")


def sign_act(files: Files, act: Act, sitting: Sitting) -> Act:
    """The act with the signatures of whoever can open a key, until there are enough. Raises like `Sitting.add`."""
    signed = dict(act.files)
    for name, role, delegator in _needs(files, act):
        metadata = _metadata(name, signed[name])
        sitting.add(metadata, role, delegator)
        signed[name] = encode(metadata)
    return replace(act, files=signed)


def signatures_of(files: Files, act: Act) -> list[Signatures]:
    """Who has signed what of the act."""
    found = []
    for name, role, delegator in _needs(files, act):
        metadata = _metadata(name, act.files[name])
        labels = sorted(_label(delegator, role, id_) for id_ in signers_of(delegator, role, metadata))
        found.append(Signatures(name, role, tuple(labels), delegator.get_delegated_role(role).threshold))
    return found


def _needs(files: Files, act: Act) -> list[tuple[str, str, Root | Targets]]:
    """(file, role, whose keys count) for every signature that the act takes."""
    before = newest_root(files)
    after = {**files, **act.files}
    root = newest_root(after)
    needs: list[tuple[str, str, Root | Targets]] = []
    if root_file(before.version + 1) in act.files:
        # A new root is signed by enough of the holders before it and by enough of its own.
        needs += [(root_file(root.version), "root", before), (root_file(root.version), "root", root)]
    if TARGETS in act.files:
        needs.append((TARGETS, "targets", root))
    if SUSPENSIONS in act.files:
        needs.append((SUSPENSIONS, SUSPENSIONS_ROLE, targets_of(after)))
    return needs


def _version(files: Files) -> int:
    """The version of suspensions.json."""
    return parse(Targets, files[SUSPENSIONS], SUSPENSIONS).signed.version


def _label(delegator: Root | Targets, role: str, key_id: str) -> str:
    return keys_of(delegator, role)[key_id].label or short_id(key_id)


def short_id(key_id: str) -> str:
    """What a key is called that has no label: the beginning of its id."""
    return key_id[:16]


def _metadata(name: str, data: bytes) -> Metadata[Any]:
    return parse(Targets, data, name) if name in (TARGETS, SUSPENSIONS) else parse(Root, data, name)


def _content(name: str, data: bytes) -> bytes:
    return data if name in (ROSTER_FILE, SUSPENSIONS_FILE) else _metadata(name, data).signed_bytes
