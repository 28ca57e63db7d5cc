"""The audit log: `audit tail`, `audit verify`, `audit export`, which work with the daemon down, `audit accept`, and
`audit heads`.
"""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.failure import Failure, report
from relay.console.operating import show_verdict
from relay.console.output import cell, emit, listing, printable
from relay.console.phrases import say
from relay.given import read_given

group: Final = LazyGroup(
    "audit", {name: f"relay.console.auditing:audit_{name}" for name in ("tail", "verify", "accept", "export", "heads")}
)

COLUMNS: Final = {"n": "number", "at": "at", "by": "by", "did": "did", "id": "id", "code": "code"}
LINES: Final = 20
FOLLOW_S: Final = 1.0
"""Pause between two looks for new lines."""
HEAD_FILE_BYTES: Final = 100_000
"""What `audit verify --json` prints is far shorter, however many problems it names."""
HEX: Final = re.compile(r"[0-9a-f]{64}")


@command("audit tail")
@option("--lines", "-n", metavar="N", type=click.IntRange(1, 100_000), default=LINES)
@option("--follow", "-f", is_flag=True)
def audit_tail(choices: Choices, lines: int, follow: bool) -> None:
    """Show the last lines of the audit log."""
    found = _last_lines(choices, lines, 0)
    listing(choices, found, COLUMNS)
    while follow:
        sys.stdout.flush()
        time.sleep(FOLLOW_S)
        newer = _last_lines(choices, 100_000, _number(found[-1]) if found else 0)
        for line in newer:
            if choices.json:
                emit(line)
            else:
                click.echo(printable("  ".join(cell(line.get(name), name, choices.lang) for name in COLUMNS)))
        found = newer or found


def _last_lines(choices: Choices, most: int, after: int) -> list[dict[str, Any]]:
    try:
        return list(daemon_of(choices).read(path_of("audit"), limit=most, after=after or None).many())
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        from relay.audit.offline import tail_home

        return tail_home(choices.home, most, after)


def _number(line: Mapping[str, Any]) -> int:
    found = line.get("n")
    return found if isinstance(found, int) else 0


@command("audit verify")
@click.argument("file", metavar="[FILE]", required=False)
@option("--head", metavar="HEX|FILE", multiple=True)
@option("--root", metavar="FILE|FINGERPRINT")
def audit_verify(choices: Choices, file: str | None, head: tuple[str, ...], root: str | None) -> int:
    """Check the audit log, or an exported one offline."""
    heads = [_known_head(text) for text in head]
    if file is not None:
        return _verify_file(choices, file, heads, root)
    if root is not None:
        raise Failure("USAGE", say("root_needs_file", choices.lang), field="root")
    try:
        found = daemon_of(choices).change(path_of("audit", "verify"), {"heads": heads}).one()
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        from relay.audit.offline import anchors_of, check_home
        from relay.console.keys.unlocking import unlock_of_home

        found = check_home(choices.home, unlock_of_home(choices), anchors_of(heads))
    return show_verdict(choices, found)


def _verify_file(choices: Choices, file: str, heads: list[dict[str, Any]], root: str | None) -> int:
    if not Path(file).is_file():
        raise Refused("FILE_MISSING", file, field="file")
    from relay.audit.archive import check_archive
    from relay.audit.offline import anchors_of

    home = choices.home if (choices.home / "relay.toml").is_file() else None
    found = check_archive(Path(file), root, home, anchors_of(heads))
    problems = [str(each) for each in found["problems"]]
    if problems and all(each.startswith("UNANCHORED") for each in problems):
        show_verdict(choices, found, quiet=True)
        return report(Failure("UNANCHORED", "; ".join(problems)), choices)
    return show_verdict(choices, found)


def _known_head(text: str) -> dict[str, Any]:
    """A head as the check takes it: a hash, or a file with one or with what `audit verify --json` printed."""
    if Path(text).is_file():
        data = read_given(Path(text), "head", HEAD_FILE_BYTES)
        try:
            found = msgspec.json.decode(data)
        except msgspec.DecodeError:
            found = data.decode("utf-8", "replace").strip()
    else:
        found = text
    count = found.get("count", 0) if isinstance(found, dict) else 0
    head = str(found.get("head", "") if isinstance(found, dict) else found).lower().removeprefix("sha256:")
    if not HEX.fullmatch(head) or not isinstance(count, int) or count < 0:
        raise Refused("BAD_FIELD", "neither a hash of 64 hexadecimal digits nor a file with one", field="head")
    return {"head": head, "count": count}


@command("audit accept")
def audit_accept(choices: Choices) -> None:
    """Confirm that it is known what is wrong with the log."""
    found = daemon_of(choices).change(path_of("accept", "audit")).one()
    if choices.json:
        emit(found)
        return
    accepted, left = found.get("problems", []), found.get("left", [])
    click.echo(say("audit_accepted", choices.lang, count=len(accepted), left=len(left)))
    for problem in (*accepted, *left):
        click.echo(f"  {printable(str(problem))}")


@command("audit heads")
def audit_heads(choices: Choices) -> None:
    """Show how far the logs of neighbours are."""
    found = daemon_of(choices).read(path_of("audit", "heads")).many()
    listing(choices, found, {"office": "office", "count": "number", "head": "hash", "signed_at": "at"})


@command("audit export")
@argument("file", "FILE")
def audit_export(choices: Choices, file: str) -> None:
    """Write the whole audit log, with what verifies it, into one file."""
    target = Path(file)
    if file != "-" and (target.exists() or target.is_symlink()):
        raise Refused("FILE_EXISTS", file, field="file")
    if file != "-" and not target.parent.is_dir():
        raise Refused("FILE_MISSING", str(target.parent), field="file")
    pieces = _archive(choices)
    if file == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    size = _write(target, pieces)
    if choices.json:
        emit({"file": file, "bytes": size})
    else:
        click.echo(say("audit_written", choices.lang, file=file, bytes=size))


def _archive(choices: Choices) -> Iterator[bytes]:
    try:
        return daemon_of(choices).pieces(path_of("audit", "export"))
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        from relay.audit.offline import export_home
        from relay.console.keys.unlocking import unlock_of_home

        return export_home(choices.home, unlock_of_home(choices))


def _write(target: Path, pieces: Iterable[bytes]) -> int:
    """A new file of mode 0600, or none when it could not be written whole."""
    size = 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                size += file.write(piece)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return size
