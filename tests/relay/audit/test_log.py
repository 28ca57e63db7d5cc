"""The log as a file: crashes, full disks, other programs, new files, retention, readers."""

import errno
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.audit import LINE_BYTES, START, Mark, decode_head, encode_head, make_line, split_line
from protocol.errors import RemoteError
from relay.audit.check import Check
from relay.audit.entry import PURGED, read_line, write_line
from relay.audit.folder import files_of, first_number, last_lines
from relay.audit.log import AuditLog
from relay.audit.notes import Note
from tests.relay.audit.books import (
    FILE_BYTES,
    NOW_US,
    OWNER,
    checked,
    is_line,
    open_log,
    put_book,
    read_book,
    some_notes,
    write_book,
)

DICE = random.Random(4)
DAY_US = 86_400_000_000


@given(st.binary(max_size=200), st.integers(0, 1 << 40))
def test_g13_arbitrary_bytes_are_no_line_or_exactly_the_line_that_they_are(data: bytes, number: int) -> None:
    body = b'{"n":%d,"did":"x"' % number
    line, digest = make_line(START.head, body)
    assert split_line(line) == (number, body, digest)
    for changed in (data, line + data if data else line[:-1], data + line if data else line[1:]):
        try:
            found, text, claimed = split_line(changed)
        except RemoteError:
            continue
        assert changed == text + b',"hash":"' + claimed.hex().encode() + b'"}\n'
        assert text.startswith(b'{"n":%d,' % found)


def test_a_line_has_one_form() -> None:
    line, _ = make_line(START.head, b'{"n":7,"did":"x"')
    for changed in (
        line.replace(b'"n":7', b'"n":07'),
        line.replace(b'"n":7', b'"n": 7'),
        line.replace(b'"n":7', b'"n":+7'),
        line.upper(),
        line[:-3] + b' "}\n',
        line[:-1] + b"\r\n",
        b" " + line,
    ):
        assert not is_line(changed)


def test_the_head_has_its_own_bytes() -> None:
    payload = OWNER.head_payload(Mark(9, START.head), NOW_US)
    assert encode_head(decode_head(payload)) == payload


@given(
    st.text(max_size=50),
    st.text(max_size=50),
    st.dictionaries(st.sampled_from(["id", "code", "office"]), st.text(max_size=3_000), max_size=3),
)
def test_g15_whatever_is_noted_is_one_short_line_that_comes_back(by: str, did: str, details: dict[str, str]) -> None:
    line, mark = write_line(Note(NOW_US, by, did, details), START)
    assert len(line) <= LINE_BYTES
    assert line.count(b"\n") == 1
    assert b"\0" not in line
    assert mark.count == 1
    found = read_line(line)
    assert found.get("code") == "TOO_LARGE" or {name: found[name] for name in details} == details


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    steps=st.lists(st.sampled_from(["write", "sync", "head", "kill", "power", "full", "rotate"]), max_size=25),
    seed=st.integers(0, 99),
)
def test_g15_crashes_full_disks_and_new_files_in_any_order_leave_a_log_that_verifies(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    """Nothing that was durable is ever missing, and nothing is called tampering."""
    folder = tmp_path_factory.mktemp("log")
    dice = random.Random(seed)
    log, _ = open_log(folder)
    stored = log.durable
    safe = read_book(folder)
    for step in steps:
        match step:
            case "write":
                log.append(some_notes(dice.randrange(1, 5), dice))
            case "sync":
                stored = log.sync(NOW_US)
                safe = read_book(folder)
            case "head":
                log.sign_head(NOW_US)
            case "rotate":
                log.rotate(FILE_BYTES, NOW_US)
                safe = read_book(folder) if log.durable == log.mark else safe
            case "full":
                _fail_once(log, dice)
            case "kill" | "power":
                log.close()
                if step == "power":
                    put_book(folder, _after_power_cut(safe, read_book(folder), dice))
                log, found = open_log(folder, stored)
                assert found.problems == ()
                safe = read_book(folder)
        assert checked(folder, stored).problems == ()
    stored = log.sync(NOW_US)
    log.close()
    report = checked(folder, stored)
    assert report.problems == ()
    assert report.mark == stored


def _fail_once(log: AuditLog, dice: random.Random) -> None:
    """A write of which only a part reaches the file, as on a full disk."""
    real = os.write
    part = dice.randrange(200)

    def write(handle: int, data: Any) -> int:
        real(handle, bytes(data)[:part])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.write", write)
        with pytest.raises(OSError, match="No space"):
            log.append(some_notes(2, dice))


def _after_power_cut(safe: dict[str, bytes], whole: dict[str, bytes], dice: random.Random) -> dict[str, bytes]:
    """What was durable, and of the rest some beginning, perhaps with zeros up to a sector's end."""
    name = max(whole)
    # What was found at a start may hold a line that was not synced yet, and that a full disk had cut away since.
    least = min(len(safe.get(name, b"")), len(whole[name]))
    cut = dice.randrange(least, len(whole[name]) + 1)
    zeros = dice.choice([0, -cut % 512])
    return whole | {name: whole[name][:cut] + bytes(zeros)}


def test_g15_what_another_program_does_while_the_log_is_open_is_noticed_and_the_log_goes_on(tmp_path: Path) -> None:
    def append(path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"x\n")

    def cut(path: Path) -> None:
        os.truncate(path, path.stat().st_size - 5)

    def replace(path: Path) -> None:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)

    changes: tuple[Callable[[Path], object], ...] = (append, cut, Path.unlink, replace)
    for number, change in enumerate(changes):
        folder = tmp_path / f"{number}"
        log, _ = open_log(folder)
        log.append(some_notes(3, DICE))
        log.sync(NOW_US)
        change(files_of(folder)[-1])
        log.append(some_notes(3, DICE))
        mark = log.sync(NOW_US)
        assert [problem.split(" ")[0] for problem in log.problems] == ["CHANGED"]
        log.append(some_notes(3, DICE))
        mark = log.sync(NOW_US)
        assert len(log.problems) == 1
        assert checked(folder, mark).mark == mark
        # A file that was replaced by an equal one holds what was said, so only the moment of it was suspicious.
        assert checked(folder, mark).ok == (change is replace)


def test_g15_what_another_program_does_while_the_log_is_being_opened_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = open_log(tmp_path, START)
    log.append(some_notes(20, DICE))
    mark = log.sync(NOW_US)
    log.close()
    (path,) = files_of(tmp_path)

    class Slow(Check):
        """Between the look at the file and the first line that is added to it the file is cut."""

        def slices(self) -> Iterator[None]:
            yield from super().slices()
            path.write_bytes(path.read_bytes()[:-200])

    monkeypatch.setattr("relay.audit.log.Check", Slow)
    log, found = open_log(tmp_path, mark)
    assert [problem.split()[0] for problem in found.problems] == ["CHANGED"]
    log.append(some_notes(3, DICE))
    log.sync(NOW_US)
    log.close()
    assert len(files_of(tmp_path)) == 2


def test_retention_deletes_whole_old_files_and_what_is_left_verifies(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path)
    for day in range(6):
        log.append([Note(NOW_US + day * DAY_US, "relay", "x")] * 20)
        log.rotate(1_000, NOW_US + (day + 1) * DAY_US)
    before = read_book(tmp_path)
    assert log.purge(NOW_US + 3 * DAY_US + 1, NOW_US + 6 * DAY_US) == 3
    mark = log.sync(NOW_US)
    left = read_book(tmp_path)
    assert min(left) == sorted(before)[3]
    report = checked(tmp_path, mark)
    assert report.problems == ()
    assert report.first == int(min(left).removesuffix(".jsonl"))
    assert log.purge(NOW_US, NOW_US) == 0
    # Who deletes one file more than the log says is found out.
    (tmp_path / min(left)).unlink()
    assert "MISSING" in checked(tmp_path, mark).problems[0]


def test_readers_get_the_last_lines_across_files(tmp_path: Path) -> None:
    mark = write_book(tmp_path, 3)
    assert len(files_of(tmp_path)) > 2
    every = [read_line(line)["n"] for line in last_lines(tmp_path, 10_000)]
    assert every == list(range(1, mark.count + 1))
    assert [read_line(line)["n"] for line in last_lines(tmp_path, 5)] == every[-5:]
    assert [read_line(line)["n"] for line in last_lines(tmp_path, 10_000, after=mark.count - 25)] == every[-25:]
    assert last_lines(tmp_path, 10, after=mark.count) == []
    assert last_lines(tmp_path / "nowhere", 10) == []


def test_every_line_is_plain_json_for_other_tools(tmp_path: Path) -> None:
    write_book(tmp_path, 5)
    for data in read_book(tmp_path).values():
        for line in data.splitlines():
            assert {"n", "did", "at", "by", "hash"} <= set(json.loads(line))


def test_g15_who_has_no_key_cannot_say_that_a_retention_ended(tmp_path: Path) -> None:
    stored = write_book(tmp_path, 3)
    files = files_of(tmp_path)
    forged, _ = write_line(Note(NOW_US, "relay", PURGED, {"first": first_number(files[-1])}), stored)
    with files[-1].open("ab") as file:
        file.write(forged)
    for path in files[:-1]:
        path.unlink()
    assert "MISSING" in checked(tmp_path, stored).problems[0]
    # Nor does the relay vouch for it when it goes on; and it says which lines it did not know.
    log, _ = open_log(tmp_path, stored)
    log.append([Note(NOW_US, "relay", "x")])
    log.sign_head(NOW_US)
    mark = log.sync(NOW_US)
    log.close()
    assert "MISSING" in checked(tmp_path, mark).problems[0]
    assert {"did": "found", "lines": 1}.items() <= read_line(last_lines(tmp_path, 3)[0]).items()
