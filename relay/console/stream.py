"""`relay send --jsonl`: many messages over one connection, answered line by line in order.

One thread reads and checks lines while the other waits for the daemon. What has been read when the daemon is free goes
out as one batch, so a line alone is answered at once and a long file travels in large pieces.
"""

import os
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from keys.files.private_files import KeyFileError
from protocol.errors import Refused
from protocol.limits import CONTENT_BYTES
from relay.console.choices import Choices
from relay.console.client import Answer, Daemon, daemon_of, path_of
from relay.console.drafting import check_fields, new_id, read_attachments
from relay.console.failure import Failure, as_failure, failure_from, report
from relay.console.phrases import say

if TYPE_CHECKING:
    from relay.console.signing import Signing

BATCH_LINES: Final = 200
BATCH_BYTES: Final = 4 * 1024 * 1024
"""One batch; a single larger line travels alone."""
READ_BYTES: Final = 256 * 1024
"""What one read takes at most, about forty messages of usual size."""
LINE_BYTES: Final = 2 * CONTENT_BYTES
"""A longer line cannot hold a message that may be sent, whatever its escapes."""
CHUNKS_AHEAD: Final = 8
"""How far reading may run ahead of sending: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input: either a draft to be sent, or the failure that its check found."""

    number: int
    id: str | None
    draft: bytes
    failure: Failure | None = None


@dataclass(slots=True)
class Clerk:
    """Adds to a checked line what it names by file: attachments and persons' key files, relative to `folder`."""

    choices: Choices
    daemon: Daemon
    folder: Path
    passphrase_file: str | None
    _signing: "Signing | None" = None

    def attach(self, fields: dict[str, Any]) -> None:
        """Read the files of `attach`. Raises `Refused`."""
        attach = fields.pop("attach", [])
        if attach:
            names = [attach] if isinstance(attach, str) else attach
            if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
                raise Refused("BAD_FIELD", "must be a file name or a list of them", field="attach")
            fields["attachments"] = [*fields.get("attachments", []), *read_attachments(names, self.folder)]

    def approve(self, fields: dict[str, Any]) -> None:
        """Let the persons sign whose key files the line names. Raises `Refused`, `Failure` or `KeyFileError`."""
        files: dict[str, str] = {
            role: str(self.folder / fields.pop(role)) for role in ("reviewer", "issuer") if role in fields
        }
        if not files:
            return
        if self._signing is None:
            from relay.console.signing import Signing

            self._signing = Signing(self.choices, self.daemon, self.passphrase_file)
        self._signing.approve(fields, files)


@dataclass(slots=True)
class Tally:
    """How the lines fared."""

    lines: int = 0
    bad: int = 0
    first: Failure | None = None
    first_line: int = 0

    def count(self, number: int, failure: Failure | None) -> None:
        """Count one answered line."""
        self.lines += 1
        if failure is not None:
            self.bad += 1
            if self.first is None:
                self.first, self.first_line = failure, number


def send_lines(choices: Choices, name: str, passphrase_file: str | None = None) -> int:
    """Send every line of a file or of standard input; the exit status is that of the first line that failed.

    The key files of lines that name a `reviewer` or an `issuer` open with the passphrase in `passphrase_file`, or with
    one that is asked for once for each file.
    """
    daemon = daemon_of(choices)
    source, folder = _open(name)
    chunks: queue.Queue[list[Line] | BaseException | None] = queue.Queue(CHUNKS_AHEAD)
    # Lines are signed by another thread than the one that sends, so over another connection.
    clerk = Clerk(choices, daemon_of(choices), folder, passphrase_file)
    threading.Thread(target=_read, args=(source, clerk, chunks), daemon=True).start()
    tally = Tally()
    out = sys.stdout.buffer
    for batch in _batches(chunks):
        _send_batch(daemon, batch, choices.lang, out, tally)
        out.flush()
    if tally.first is None:
        return 0
    tally.first.extra["line"] = tally.first_line
    if not choices.json:
        count = say("lines_refused", choices.lang, bad=tally.bad, all=tally.lines, line=tally.first_line)
        tally.first.detail = f"{count}: {tally.first.detail}" if tally.first.detail else count
    return report(tally.first, choices)


def _open(name: str) -> tuple[int, Path]:
    """A descriptor of the lines, and the folder of their attachments."""
    if name == "-":
        return os.dup(sys.stdin.fileno()), Path()
    path = Path(name)
    try:
        if path.is_dir():
            raise Refused("FILE_UNREADABLE", name, field="jsonl")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), path.parent
    except (FileNotFoundError, NotADirectoryError):
        raise Refused("FILE_MISSING", name, field="jsonl") from None
    except PermissionError:
        raise Refused("NOT_PERMITTED", name, field="jsonl") from None
    except OSError as error:
        raise Refused("FILE_UNREADABLE", f"{name}: {error.strerror}", field="jsonl") from None


def _read(source: int, clerk: Clerk, chunks: "queue.Queue[list[Line] | BaseException | None]") -> None:
    """Put lists of checked lines into the queue, then None, or the exception that ended the reading."""
    try:
        number = 0
        for lines in _available_lines(source):
            ready = []
            for line in lines:
                number += 1
                if line is None or not line.isspace():
                    ready.append(_check(number, line, clerk))
            if ready:
                chunks.put(ready)
        chunks.put(None)
    except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
        chunks.put(error)
    finally:
        os.close(source)


def _available_lines(source: int) -> Iterator[list[bytes | None]]:
    """The lines that are there, list after list, each with its newline; None stands for a line that is too long."""
    rest: list[bytes] = []
    held, skipping = 0, False
    while data := os.read(source, READ_BYTES):
        *whole, last = data.split(b"\n")
        lines: list[bytes | None] = []
        for part in whole:
            lines.append(None if skipping or held + len(part) > LINE_BYTES else b"".join((*rest, part, b"\n")))
            rest.clear()
            held, skipping = 0, False
        held += len(last)
        if held > LINE_BYTES:
            rest.clear()
            skipping = True
        elif last and not skipping:
            rest.append(last)
        if lines:
            yield lines
    if skipping:
        yield [None]
    elif held:
        yield [b"".join((*rest, b"\n"))]


def _check(number: int, line: bytes | None, clerk: Clerk) -> Line:
    """One line as a draft of the API, or the failure of its check."""
    message_id: str | None = None
    try:
        if line is None:
            raise Refused("TOO_LARGE", f"the line has more than {LINE_BYTES} bytes")
        fields = _object(line)
        given = fields.setdefault("id", None)
        if given is None:
            fields["id"] = new_id()
        message_id = fields["id"] if isinstance(fields["id"], str) else None
        for name in [name for name, value in fields.items() if value is None]:
            del fields[name]
        check_fields(fields)
        clerk.attach(fields)
        clerk.approve(fields)
        return Line(number, message_id, msgspec.json.encode(fields))
    except (Refused, Failure, KeyFileError) as error:
        return Line(number, message_id, b"", as_failure(error, clerk.choices.lang))


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("BAD_FIELD", f"not a JSON object in UTF-8: {error}"[:300]) from None
    if not isinstance(found, dict):
        raise Refused("BAD_FIELD", "not a JSON object")
    return found


def _batches(chunks: "queue.Queue[list[Line] | BaseException | None]") -> Iterator[list[Line]]:
    """What has been read so far, in pieces of at most BATCH_LINES and BATCH_BYTES; waits when there is nothing."""
    waiting: list[Line] = []
    ended = False
    while waiting or not ended:
        while not ended and len(waiting) < BATCH_LINES:
            try:
                chunk = chunks.get(block=not waiting)
            except queue.Empty:
                break
            if isinstance(chunk, BaseException):
                raise chunk
            ended = chunk is None
            waiting += chunk or []
        count = _fitting(waiting)
        if count:
            yield waiting[:count]
            del waiting[:count]


def _fitting(lines: list[Line]) -> int:
    total = 0
    for count, line in enumerate(lines[:BATCH_LINES]):
        total += len(line.draft) + 1
        if total > BATCH_BYTES and count:
            return count
    return min(len(lines), BATCH_LINES)


def _send_batch(daemon: Daemon, batch: list[Line], lang: str, out: BinaryIO, tally: Tally) -> None:
    """Send the good lines of a batch and write one answer for every line, in order."""
    drafts = [line.draft for line in batch if line.failure is None]
    answers: list[dict[str, Any]] | Failure = []
    if drafts:
        try:
            answers = _answers(daemon.stream(path_of("messages"), b"\n".join(drafts) + b"\n"), len(drafts))
        except Failure as error:
            answers = error
    given = iter(answers) if isinstance(answers, list) else None
    for line in batch:
        if line.failure is not None:
            failure: Failure | None = line.failure
        elif given is None:
            assert isinstance(answers, Failure)  # noqa: S101 - the only other type
            failure = Failure(answers.code, answers.detail, field=answers.field, said=answers.said)
        else:
            answer = next(given)
            failure = failure_from(answer) if answer.get("type") == "error" else None
            if failure is None:
                out.write(msgspec.json.encode({"v": 1, **answer, "exit": 0, "line": line.number}) + b"\n")
        if failure is not None:
            failure.extra.update({"line": line.number, "id": line.id})
            out.write(msgspec.json.encode(failure.as_object(lang)) + b"\n")
        tally.count(line.number, failure)


def _answers(answer: Answer, expected: int) -> list[dict[str, Any]]:
    found = list(answer.many())
    if len(found) != expected:
        raise Failure("OUTCOME_UNKNOWN", f"{len(found)} answers came for {expected} lines")
    return found
