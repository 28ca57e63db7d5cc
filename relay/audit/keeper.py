"""Keeps the log of a running relay: writes notes down, tells store and neighbours how far it is, checks it (G15).

One thread of its own does the file work, so that no disk holds up a message. First the log is durable, then its mark
enters the store: the store never knows of lines that a power cut could take away.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import structlog

from keys.signing import AUDIT, sign_record
from protocol.audit import START, Mark
from protocol.errors import Refused
from protocol.ids import Digest
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.presence import Presence
from relay.audit.accepted import Accepted, digest_of, not_accepted, recall_accepted, remember_accepted
from relay.audit.archive import archive_bytes, pieces_of
from relay.audit.check import Anchor, Report, Walk, check_folder, head_verifier
from relay.audit.entry import Owner, read_line
from relay.audit.folder import FOLDER, files_of, last_lines
from relay.audit.heard import Heard
from relay.audit.log import AuditLog, Found
from relay.audit.notes import RELAY, Note
from relay.ground import Ground
from relay.store import counters
from relay.store.database import Txn
from relay.store.group import StoreFailed

T = TypeVar("T")
P = ParamSpec("P")

BATCH: Final = 1_000
"""Most notes written at once: about 10 ms of the log's thread."""
HEAD_LINES: Final = 1_000
"""Most lines between two signed heads."""
RETRY_S: Final = 1.0
"""Pause before a log that could not be written is tried again."""
BREATH_S: Final = 0.002
"""Pause between two slices of a check that somebody waits for."""
LONG_BREATH_S: Final = 0.05
"""The same for the daily check: a sixth of one core at most."""
DAY_US: Final = 86_400 * SECOND_US

_log = structlog.get_logger()


def recall_mark(txn: Txn) -> Mark:
    """The mark in the store."""
    kept = counters.recall(txn, "audit")
    return START if kept is None else Mark(kept[0], Digest(kept[1]))


def _remember_mark(txn: Txn, mark: Mark) -> None:
    counters.remember(txn, "audit", [mark.count, mark.head])


class Keeper:
    """The log's part of the engine. Call `prepare` before anything else, `close` after everything else."""

    def __init__(self, ground: Ground, home: Path) -> None:
        self._ground = ground
        self.home = home
        self._folder = home / FOLDER
        self._settings = ground.settings.audit
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._log: AuditLog | None = None
        self._batch: list[Note] = []
        self._stored = START
        self._synced_us = 0
        self._signed_us = 0
        self._damage: tuple[str, ...] = ()
        self._accepted: Accepted = frozenset()
        self._failure: str | None = None
        self._writing = asyncio.Lock()
        self._looking = asyncio.Lock()
        self.was_checked = False
        """Whether the whole log was checked since the start."""
        self.opened = asyncio.Event()
        self.heard = Heard(ground)

    async def prepare(self) -> None:
        """What the store remembers, so that it can be told from the first moment on."""
        self._stored = await self._ground.store.read(recall_mark)
        self._accepted = await self._ground.store.read(recall_accepted)
        await self.heard.load()
        self._ground.audit.begin(self._stored)
        self._ground.audit.listener = self._hear

    async def run(self) -> None:
        """Keep the log for ever, whatever the disk says."""
        while True:
            if await self._tried(self._open):
                break
            await asyncio.sleep(RETRY_S)
        self.opened.set()
        checks = asyncio.create_task(self._check_again_and_again(), name="audit-checks")
        try:
            while True:
                await self._wait()
                if not await self._write(final=False):
                    await asyncio.sleep(RETRY_S)
        finally:
            checks.cancel()
            await asyncio.gather(checks, return_exceptions=True)

    async def close(self) -> None:
        """Write what waits, sign it, make it durable, and remember how far it is."""
        if self.opened.is_set() or await self._tried(self._open):
            await self._write(final=True)
            await self._in_thread(self._the_log().close)
        self._pool.shutdown(wait=False)

    async def check(self, anchors: Sequence[Anchor] = (), breath_s: float = BREATH_S) -> Report:
        """Check all that was written until now. Raises `Refused` BUSY while the log cannot be written."""
        await self.opened.wait()
        if not await self._write(final=True):
            raise Refused("BUSY", f"the audit log cannot be written: {self._failure}")
        async with self._looking:
            mark = self._the_log().durable
            ground = self._ground
            walk = Walk(
                head_verifier(ground.directory, ground.identity.office),
                (Anchor("this relay", mark), Anchor("the store", self._stored), *self.heard.anchors, *anchors),
            )
            check = await self._in_thread(check_folder, self._folder, walk, mark, mark)
            await self._finish(check.slices(), breath_s)
            report = check.report()
        if not anchors or report.ok:
            self._damage, self.was_checked = report.problems, True
            self._tell()
        return report

    async def accept(self) -> dict[str, Any]:
        """An operator knows what is wrong with the log: the alarm about it ends, the damage stays; `problems` are what
        was accepted, `left` what was not. Raises `Refused` BUSY.
        """
        await self.check()
        ground, problems = self._ground, self.problems
        self._accepted = await ground.commit(Lane.PRIORITY, partial(remember_accepted, problems=problems))
        left = self.alarming
        ground.audit.add(RELAY, "damage_accepted", count=len(problems), digest=digest_of(problems))
        if not await self._write(final=True):
            raise Refused("BUSY", f"the audit log cannot be written: {self._failure}")
        return {"problems": [one for one in problems if one not in left], "left": list(left)}

    @property
    def alarming(self) -> tuple[str, ...]:
        """The problems that no operator has accepted."""
        return not_accepted(self.problems, self._accepted)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the last check found, and what was noticed since."""
        if self._log is None:
            return self._damage
        last = self._log.durable.count
        known = [
            f"{anchor.source} knows of {anchor.mark.count}" for anchor in self.heard.anchors if anchor.mark.count > last
        ]
        cut = [
            f"CUT: the log ends at line {last}, {text}"
            for text in known
            if not any(text in one for one in self._damage)
        ]
        return (*self._damage, *self._log.problems, *cut)

    def _hear(self, presence: Presence, record: bytes, source: str) -> None:
        self.heard.hear(presence, record, source)
        if self.opened.is_set():
            self._tell()

    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(path.stat().st_size for path in files_of(self._folder))

    async def lines(self, most: int, after: int) -> list[dict[str, Any]]:
        """The last lines, oldest first. Raises `Refused` BUSY."""
        await self.opened.wait()
        if not await self._write(final=False):
            raise Refused("BUSY", f"the audit log cannot be written: {self._failure}")
        found = await self._in_thread(last_lines, self._folder, most, after)
        return [read_line(line) for line in found]

    async def export(self, trust: Mapping[str, bytes]) -> Iterator[bytes]:
        """The log as an archive, signed at its end, made while it is read. Raises `Refused` BUSY."""
        await self.opened.wait()
        if not await self._write(final=True):
            raise Refused("BUSY", f"the audit log cannot be written: {self._failure}")
        return await self._in_thread(self._archive, trust, self._ground.clock.now_us())

    # Writing.

    async def _open(self) -> None:
        ground = self._ground
        verify = head_verifier(ground.directory, ground.identity.office)
        opened: tuple[AuditLog, Found] = await self._in_thread(
            AuditLog.open, self._folder, self._signed_head, verify, self._stored, ground.clock.now_us()
        )
        self._log, found = opened
        self._damage = found.problems

    def _signed_head(self, mark: Mark, at_us: int) -> bytes:
        """A signed head, in the life that the home has at this moment."""
        identity = self._ground.identity
        owner = Owner(self._ground.directory.network_id, identity.office, identity.epoch)
        return sign_record(identity.key, AUDIT, owner.head_payload(mark, at_us))

    async def _wait(self) -> None:
        """Until something is to be written, made durable or signed."""
        notes, log = self._ground.audit, self._the_log()
        due_us = [self._signed_us + round(self._settings.head_s * SECOND_US)] if log.unsigned else []
        due_us += [self._synced_us + round(self._settings.sync_s * SECOND_US)] if log.mark != log.durable else []
        if not self._batch:
            left_s = (min(due_us) - self._ground.clock.monotonic_us()) / SECOND_US if due_us else None
            try:
                async with asyncio.timeout(None if left_s is None else max(0.0, left_s)):
                    await notes.came.wait()
            except TimeoutError:
                return
        await asyncio.sleep(self._settings.write_s)

    async def _write(self, *, final: bool) -> bool:
        """Write everything that waits; False when the disk does not let us. `final`: sign it and make it durable."""
        async with self._writing:
            while True:
                if not await self._tried(partial(self._write_some, final=final)):
                    return False
                if not len(self._ground.audit):
                    return True

    async def _write_some(self, *, final: bool) -> None:
        ground = self._ground
        if not self._batch:
            self._batch = ground.audit.take(BATCH)
        now_us, at_us = ground.clock.now_us(), ground.clock.monotonic_us()
        await self._in_thread(self._turn, now_us, at_us, final=final and not len(ground.audit))
        await self._remember()

    def _turn(self, now_us: int, at_us: int, *, final: bool) -> None:
        """One turn of the log's thread."""
        log, settings = self._the_log(), self._settings
        if self._batch:
            if not log.unsigned:
                self._signed_us = at_us
            if log.mark == log.durable:
                self._synced_us = at_us
            log.append(self._batch)
            self._batch = []
        head_due = final or log.unsigned >= HEAD_LINES or at_us - self._signed_us >= settings.head_s * SECOND_US
        if log.unsigned and head_due:
            log.sign_head(now_us)
        if log.mark != log.durable and (final or at_us - self._synced_us >= settings.sync_s * SECOND_US):
            log.sync(now_us)
            log.rotate(settings.file_bytes, now_us)

    def _archive(self, trust: Mapping[str, bytes], now_us: int) -> Iterator[bytes]:
        log = self._the_log()
        files = [(path, path.stat().st_size) for path in files_of(self._folder)]
        return archive_bytes(pieces_of(trust, log.signed_head(now_us), files))

    async def _remember(self) -> None:
        """The mark of what is durable: for neighbours at once, for the store when it has room."""
        mark = self._ground.audit.mark = self._the_log().durable
        if mark != self._stored:
            try:
                await self._ground.store.write(Lane.BULK, partial(_remember_mark, mark=mark))
                self._stored = mark
            except (Refused, StoreFailed) as error:
                # An older mark in the store is a true one; the next takes its place. A failed store ends the relay.
                _log.debug("audit_mark_not_kept", error=str(error))

    # Checking.

    async def _check_again_and_again(self) -> None:
        """At the start and once a day: nothing is wrong, and nothing is older than it is kept."""
        while True:
            await self._tried(partial(self.check, breath_s=LONG_BREATH_S))
            await self._tried(self._purge)
            await asyncio.sleep(self._settings.check_s)

    async def _purge(self) -> None:
        """What the retention no longer asks for; a clock that is not believed purges nothing."""
        ground = self._ground
        if "CLOCK_JUMP" in ground.alarms:
            return
        async with self._looking:
            now_us = ground.clock.now_us()
            before_us = now_us - ground.settings.retention.audit_days * DAY_US
            await self._in_thread(self._the_log().purge, before_us, now_us)
            await self._remember()

    async def _finish(self, slices: Iterator[None], breath_s: float) -> None:
        while True:
            if not await self._in_thread(_go_on, slices):
                return
            await asyncio.sleep(breath_s)

    # Trouble.

    async def _tried(self, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Whether work on files succeeded; if not, an alarm says why, and nothing else stops for it."""
        try:
            await work()
        except OSError as error:
            self._failure = error.strerror or type(error).__name__
        except Refused as refused:
            self._failure = refused.detail
        else:
            self._failure = None
        self._tell()
        return self._failure is None

    def _tell(self) -> None:
        """The alarm says what is wrong, or is over."""
        ground = self._ground
        damage = self.alarming
        if self._failure is not None:
            detail = f"the audit log cannot be written: {self._failure}"
        elif damage:
            detail = f"{len(damage)} problems, the first: {damage[0]}"
        else:
            ground.alarms.clear("AUDIT_DAMAGED")
            return
        ground.alarms.sound("AUDIT_DAMAGED", ground.clock.now_us(), detail)

    def _the_log(self) -> AuditLog:
        if self._log is None:
            raise Refused("BUSY", "the audit log is not open yet")
        return self._log

    async def _in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))


def _go_on(slices: Iterator[None]) -> bool:
    """One more slice; False after the last."""
    return next(slices, True) is None
