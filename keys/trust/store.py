"""An office's own verified copy of the network's trust, and how a newer one takes its place.

    HOME/trust/root.json             the pinned root: where this office's trust begins; never changed by the program
    HOME/trust/roots/2.root.json ... later roots, each vouched for by the one before
    HOME/trust/generations/00000042/ the rest of the files; the last two verified generations are kept
    HOME/trust/floor                 the latest signed time and the highest directory version ever seen

Everything on disk is verified again at each start, save for its age: an office that was cut off for weeks still reads
its directory, and is told how old it is. One task uses a store; nothing here is locked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.files.generations import list_generations, read_generation, write_generation
from keys.files.private_files import replace, write_new
from keys.primitives import sha256
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension
from keys.trust.chain import Generation, chain_roots, verify_generation, verify_root, verify_timestamp
from keys.trust.metadata import (
    METADATA_BYTES,
    ROSTER_FILE,
    TrustError,
    is_trust_file,
    root_file,
    root_version,
    size_limit,
)
from protocol import cbor
from protocol.errors import RemoteError
from protocol.ids import OfficeId
from protocol.limits import SECOND_US

KEPT_GENERATIONS: Final = 2
"""The current generation and the one before, in case the disk damages the current one."""

SENSITIVE_US: Final = 45 * 86_400 * SECOND_US
"""After this long without a newer timestamp the directory counts as expired: a message lives no longer either."""

_FLOOR_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Trust:
    """What this office believes about the network.

    `digest` is SHA-256 of the roster: with `version` it is what neighbours compare. `issued_us` is the signed time of
    the timestamp. `clock_floor_us` is the latest signed time ever verified: no correct clock shows less (D12).
    `superseded` says that newer files must exist: a newer root is known under which these do not verify, or a newer
    directory was here before the disk damaged it.
    `damaged` names generations on disk that no longer verify: an alarm.
    """

    directory: Directory
    suspensions: tuple[Suspension, ...]
    version: int
    digest: bytes
    root_version: int
    root_fingerprint: str
    timestamp_version: int
    issued_us: int
    fresh_until_us: int
    expires_us: int
    clock_floor_us: int
    superseded: bool = False
    damaged: tuple[str, ...] = ()

    def age_us(self, now_us: int) -> int:
        """How long ago the timestamp was signed; 0 when our clock is behind it."""
        return max(0, now_us - self.issued_us)

    def state(self, now_us: int) -> str:
        """`ok`; `stale` when the timestamp has expired or a newer root is known; `expired` when a longer-lived file
        has expired too, or the timestamp is older than 45 days. The time is never taken below the clock floor.
        """
        at_us = max(now_us, self.clock_floor_us)
        if at_us >= self.expires_us or self.age_us(at_us) >= SENSITIVE_US:
            return "expired"
        return "stale" if at_us >= self.fresh_until_us or self.superseded else "ok"

    def suspended(self, at_us: int) -> frozenset[OfficeId]:
        """The offices of which nothing is believed at this time: suspended by one administrator, or by the roster."""
        return self.directory.suspended | {one.office_id for one in self.suspensions if one.covers(at_us)}


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What came of offered files. `code` is None, or the `TrustError` code for which they were refused.

    `changed`: `trust` is another than before. `roots_added` may be above 0 even when the rest was refused.
    TRUST_MISMATCH is ordinary while a new generation arrives file by file; TRUST_EQUIVOCATION is an alarm.
    """

    changed: bool
    trust: Trust
    code: str | None = None
    detail: str = ""
    roots_added: int = 0


@dataclass(slots=True)
class _Floor:
    """What must never be undercut, whatever happens to the generations."""

    clock_us: int = 0
    directory_version: int = 0


@dataclass(slots=True)
class _State:
    """What the store holds in memory between calls; `roots_kept` and `is_kept`: what of it is durable."""

    roots: list[bytes] = field(default_factory=list)
    first_root: int = 1
    roots_kept: int = 0
    generation: Generation | None = None
    is_kept: bool = True
    floor: _Floor = field(default_factory=_Floor)
    damaged: tuple[str, ...] = ()


class TrustStore:
    """The store of one home. Call `load` before anything else."""

    def __init__(self, home: Path) -> None:
        self._place = home / "trust"
        self._state = _State()

    @staticmethod
    def install(home: Path, files: Mapping[str, bytes], now_us: int, *, root: bytes | None = None) -> "TrustStore":
        """A new home's store with its first generation; pins `root`, by default the network's first root.

        An installation that was interrupted, with the root pinned and no generation kept, is gone on with.
        Raises `Refused` FILE_EXISTS for a home that has another root or a generation, `TrustError`, `OSError`.
        """
        store = TrustStore(home)
        pinned = files.get(root_file(1)) if root is None else root
        if pinned is None:
            raise TrustError("TRUST_MISSING", "no root to pin")
        roots = chain_roots(pinned, files)
        verify_generation(roots[-1], files, now_us=now_us)
        begun = (store._place / "root.json").exists() and not list_generations(store._place / "generations")
        if not (begun and _read(store._place / "root.json") == pinned):
            write_new(store._place / "root.json", pinned)
        store._state = _State(roots=[pinned], first_root=verify_root(pinned)[0], roots_kept=1)
        store._take(files, now_us)
        store.keep()
        return store

    def load(self, now_us: int) -> Trust:
        """Read and verify what is on disk, newest first; its age is the caller's to judge by `Trust.state`.

        Raises `TrustError` TRUST_MISSING when there is no pinned root or no generation verifies; `OSError`.
        """
        try:
            pinned = _read(self._place / "root.json")
        except FileNotFoundError as error:
            raise TrustError("TRUST_MISSING", f"{self._place / 'root.json'} is not there") from error
        first, _ = verify_root(pinned)
        roots, damaged = self._read_roots(pinned)
        floor, floor_damage = self._read_floor()
        self._state = _State(roots=roots, first_root=first, roots_kept=len(roots), floor=floor)
        damaged += floor_damage
        for path in list_generations(self._place / "generations"):
            generation = self._verify_local(read_generation(path))
            if generation is not None:
                self._state.generation = generation
                break
            damaged.append(path.name)
        self._state.damaged = tuple(damaged)
        if self._state.generation is None:
            raise TrustError("TRUST_MISSING", f"no generation under {self._place} verifies")
        return self._trust()

    def update(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        """`take` and `keep` in one. Raises like both."""
        result = self.take(files, now_us)
        self.keep()
        return result

    def take(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        """Take newer files, if they verify; files not offered are taken from the current generation.

        Files under unknown names are ignored. What is refused leaves the current generation in force; new roots are
        taken as soon as they verify, since they may be what revokes a stolen key. The time is never taken below the
        clock floor. What is taken is in force, and durable after `keep`: a full disk must not hold up a revocation.
        Raises `ValueError` before `load`.
        """
        if self._state.generation is None:
            raise ValueError("a trust store is loaded before it is updated")
        return self._take(files, now_us)

    def keep(self) -> None:
        """Make durable what was taken; done again after a failure, it goes on where that was. Raises `OSError`."""
        state = self._state
        for version, data in list(enumerate(state.roots, start=state.first_root))[state.roots_kept :]:
            replace(self._place / "roots" / root_file(version), data)
            state.roots_kept += 1
        if not state.is_kept and state.generation is not None:
            # The floor goes first: after a crash between the two it asks for no more than what is on its way.
            self._write_floor()
            write_generation(self._place / "generations", state.generation.files, keep=KEPT_GENERATIONS)
            state.is_kept = True

    def is_outdated_by(self, timestamp: bytes, now_us: int) -> bool:
        """Whether this timestamp verifies and is newer than ours: then newer files exist, whoever shows it."""
        generation = self._state.generation
        if generation is None:
            raise ValueError("a trust store is loaded before it is compared")
        at_us = max(now_us, self._state.floor.clock_us)
        try:
            version = verify_timestamp(self._state.roots[-1], timestamp, now_us=at_us)
        except TrustError:
            return False
        return version > generation.timestamp_version

    def publishable_files(self) -> dict[str, bytes]:
        """All verified files by name, for republication and evidence: known roots and current generation."""
        if self._state.generation is None:
            raise ValueError("a trust store is loaded before it is read")
        return {**self._named_roots(), **self._state.generation.files}

    def _take(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        """`take`, also for a store without a generation yet."""
        before = self._state.generation
        offered = {name: data for name, data in files.items() if is_trust_file(name)}
        roots_before = len(self._state.roots)
        try:
            oversized = [name for name, data in offered.items() if len(data) > size_limit(name)]
            if oversized:
                raise TrustError("TRUST_MALFORMED", f"too long: {' '.join(sorted(oversized))[:200]}")
            self._take_roots(offered)
            added = len(self._state.roots) - roots_before
            candidate = {**(before.files if before else {}), **offered}
            if before is not None and not added and all(candidate[name] == before.files[name] for name in before.files):
                return UpdateResult(False, self._trust())
            at_us = max(now_us, self._state.floor.clock_us)
            generation = verify_generation(self._state.roots[-1], candidate, now_us=at_us, before=before)
            if generation.directory.version < self._state.floor.directory_version:
                detail = f"directory {generation.directory.version} after {self._state.floor.directory_version}"
                raise TrustError("TRUST_ROLLBACK", detail)
        except TrustError as error:
            if before is None:
                raise
            added = len(self._state.roots) - roots_before
            if added:
                # The generation in force may well stand under the new root too.
                self._state.generation = self._verify_local(before.files) or before
            return UpdateResult(added > 0, self._trust(), error.code, error.detail, added)
        changed = before is None or generation.files != before.files
        if changed:
            self._raise_floor(generation)
            self._state.is_kept, self._state.damaged = False, ()
        self._state.generation = generation
        return UpdateResult(changed or added > 0, self._trust(), roots_added=added)

    def _take_roots(self, offered: Mapping[str, bytes]) -> None:
        """Verify and take the roots after ours. Raises `TrustError` at the first bad one; those before it are taken."""
        newest = self._state.first_root + len(self._state.roots) - 1
        for version, known in enumerate(self._state.roots, start=self._state.first_root):
            # Other signatures on the same content are fine, other content is an alarm: chain_roots tells.
            if offered.get(root_file(version), known) != known:
                chain_roots(known, {root_file(version): offered[root_file(version)]})
        while (data := offered.get(root_file(newest + 1))) is not None:
            chain_roots(self._state.roots[-1], {root_file(newest + 1): data})
            self._state.roots.append(data)
            newest += 1

    def _read_roots(self, pinned: bytes) -> tuple[list[bytes], list[str]]:
        """(roots from the pinned one on, names of damaged files); the chain ends where a link is damaged."""
        directory = self._place / "roots"
        names = [path.name for path in directory.iterdir() if root_version(path.name)] if directory.is_dir() else []
        later = {name: _read(directory / name) for name in names}
        roots = [pinned]
        version, _ = verify_root(pinned)
        while (data := later.get(root_file(version + 1))) is not None:
            try:
                chain_roots(roots[-1], {root_file(version + 1): data})
            except TrustError:
                return roots, [root_file(version + 1)]
            roots.append(data)
            version += 1
        return roots, []

    def _verify_local(self, files: Mapping[str, bytes]) -> Generation | None:
        """The generation in these files, under the newest root that vouches for it; None if none does."""
        for root in reversed(self._state.roots):
            try:
                return verify_generation(root, files, now_us=None)
            except TrustError:
                # An older root may still vouch for it; when none does, the caller reports the generation.
                continue
        return None

    def _read_floor(self) -> tuple[_Floor, list[str]]:
        """(the floor, ["floor"] if its file is damaged). Without a file nothing is forbidden yet."""
        try:
            value = cbor.loads(_read(self._place / "floor"), max_bytes=64)
            version, clock_us, directory_version = value
        except FileNotFoundError:
            return _Floor(), []
        except (RemoteError, TypeError, ValueError):
            return _Floor(), ["floor"]
        if version != _FLOOR_VERSION or type(clock_us) is not int or type(directory_version) is not int:
            return _Floor(), ["floor"]
        return _Floor(clock_us, directory_version), []

    def _raise_floor(self, generation: Generation) -> None:
        """Remember the highest time and version."""
        floor = self._state.floor
        floor.clock_us = max(floor.clock_us, generation.issued_us)
        floor.directory_version = max(floor.directory_version, generation.directory.version)

    def _write_floor(self) -> None:
        floor = self._state.floor
        replace(self._place / "floor", cbor.dumps([_FLOOR_VERSION, floor.clock_us, floor.directory_version]))

    def _named_roots(self) -> dict[str, bytes]:
        """The known roots by file name."""
        return {
            root_file(version): root for version, root in enumerate(self._state.roots, start=self._state.first_root)
        }

    def _trust(self) -> Trust:
        """The state as others see it."""
        state, generation = self._state, self._state.generation
        if generation is None:
            raise ValueError("a trust store is loaded before it is read")
        return Trust(
            directory=generation.directory,
            suspensions=generation.suspensions,
            version=generation.directory.version,
            digest=sha256(generation.files[ROSTER_FILE]),
            root_version=state.first_root + len(state.roots) - 1,
            root_fingerprint=verify_root(state.roots[-1])[1],
            timestamp_version=generation.timestamp_version,
            issued_us=generation.issued_us,
            fresh_until_us=generation.fresh_until_us,
            expires_us=generation.expires_us,
            clock_floor_us=max(state.floor.clock_us, generation.issued_us),
            superseded=generation.root_version < state.first_root + len(state.roots) - 1
            or generation.directory.version < state.floor.directory_version,
            damaged=state.damaged,
        )


def _read(path: Path) -> bytes:
    """A file of the store; raises `OSError`. One byte more than allowed is enough to be refused later."""
    with path.open("rb") as file:
        return file.read(METADATA_BYTES + 1)
