"""`send --jsonl`: one answer a line in order, at once when a line comes alone, and the first failure's status."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.console import stream
from tests.relay.console.fake import ID, FakeDaemon, Ran, Seen, accepted, accepted_object

Relay = Callable[..., Ran]


def _line(**more: Any) -> str:
    return json.dumps({"to": "320000-GO", "title": "题", **more}, ensure_ascii=False)


def _file(folder: Path, *lines: str) -> str:
    (folder / "lines.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
    return str(folder / "lines.jsonl")


def test_answers_come_in_order_in_few_batches(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = accepted
    ran = relay("send", "--jsonl", _file(tmp_path, *(_line(title=f"第{n}号") for n in range(1000))))
    assert ran.exit == 0, ran.err
    lines = ran.lines()
    assert [line["line"] for line in lines] == list(range(1, 1001))
    assert all(line["exit"] == 0 and line["v"] == 1 and line["state"] == "accepted" for line in lines)
    sent = [json.loads(draft) for seen in daemon.seen for draft in seen.body.splitlines()]
    assert [draft["title"] for draft in sent] == [f"第{n}号" for n in range(1000)]
    assert [line["id"] for line in lines] == [draft["id"] for draft in sent]
    assert daemon.connections == 1
    assert 5 <= len(daemon.seen) <= 12


def test_bad_lines_do_not_stop_the_others(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = accepted
    (tmp_path / "表.csv").write_text("1,2")
    name = _file(
        tmp_path,
        _line(id=ID, attach="表.csv"),
        "{not json",
        "[]",
        "",
        _line(classification="juemi"),
        _line(attach=["none.csv"]),
        _line(colour="red"),
        '{"to":"320000-GO","title":"\\ud800"}',
        json.dumps({"title": "x"}),
        _line(to=["320900-GO", "320900-GO"]),
        _line(bulk="yes"),
        _line(cc=None, to=["320900-GO"], urgency="urgent"),
    )
    ran = relay("send", "--jsonl", name, "--json")
    answers = {line["line"]: line for line in ran.lines()}
    assert sorted(answers) == [line["line"] for line in ran.lines()]
    codes = {number: line.get("code") for number, line in answers.items()}
    assert codes == {
        1: None,
        2: "BAD_FIELD",
        3: "BAD_FIELD",
        5: "CLASSIFIED",
        6: "FILE_MISSING",
        7: "BAD_FIELD",
        8: "BAD_FIELD",
        9: "BAD_FIELD",
        10: "BAD_FIELD",
        11: "BAD_FIELD",
        12: None,
    }
    assert answers[6]["exit"] == 66
    assert answers[6]["id"]
    assert all(line["type"] == "error" and line["hint"] for line in answers.values() if line["exit"])
    assert (ran.exit, ran.error()["line"], ran.error()["code"]) == (65, 2, "BAD_FIELD")
    drafts = [json.loads(draft) for seen in daemon.seen for draft in seen.body.splitlines()]
    assert drafts[0]["attachments"] == [{"name": "表.csv", "data": "MSwy"}]
    assert (answers[1]["id"], len(drafts)) == (ID, 2)


def test_refusals_of_the_daemon_keep_their_place(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    def answer(seen: Seen) -> tuple[int, bytes]:
        lines = []
        for number, draft in enumerate(map(json.loads, seen.body.splitlines())):
            good = draft["title"] != "full"
            refusal = {"v": 1, "type": "error", "code": "STORE_FULL", "exit": 75, "line": number + 1}
            lines.append(json.dumps(accepted_object(draft) if good else refusal))
        return 200, "\n".join(lines).encode()

    daemon.answer = answer
    ran = relay("send", "--jsonl", _file(tmp_path, "{", _line(), _line(title="full"), _line()), "--lang", "zh_CN")
    assert [(line["line"], line["exit"]) for line in ran.lines()] == [(1, 65), (2, 0), (3, 75), (4, 0)]
    assert "4" in ran.err
    assert ran.exit == 65


def test_a_broken_batch_is_unknown_and_a_dead_daemon_is_down(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = lambda seen: None
    ran = relay("send", "--jsonl", _file(tmp_path, _line(id=ID), _line()))
    assert [line["code"] for line in ran.lines()] == ["OUTCOME_UNKNOWN"] * 2
    assert (ran.exit, ran.lines()[0]["id"]) == (74, ID)


def test_a_stream_without_a_daemon(relay: Relay, tmp_path: Path) -> None:
    ran = relay("send", "--jsonl", _file(tmp_path, _line()), "--json")
    assert (ran.exit, ran.lines()[0]["code"], ran.lines()[0]["exit"]) == (69, "DAEMON_DOWN", 69)


def test_a_stream_that_is_missing_or_has_company(relay: Relay, tmp_path: Path) -> None:
    assert relay("send", "--jsonl", str(tmp_path / "none")).exit == 66
    assert relay("send", "--jsonl", str(tmp_path)).exit == 66
    assert relay("send", "--jsonl", _file(tmp_path, ""), "--title", "x").exit == 2
    assert relay("send", "--jsonl", _file(tmp_path)).exit == 0


def test_a_line_alone_is_answered_at_once(daemon: FakeDaemon, home: Path) -> None:
    daemon.answer = accepted
    command = [sys.executable, "-m", "relay", "send", "--jsonl", "-", "--home", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        for number in (1, 2, 3):
            process.stdin.write(_line() + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == number
        process.stdin.write(_line())  # the last line without its end
        process.stdin.close()
        assert json.loads(process.stdout.readline())["line"] == 4
        assert process.wait(30) == 0
        watchdog.cancel()
    assert daemon.connections == 1


def test_a_reader_that_leaves_is_no_error(daemon: FakeDaemon, home: Path, tmp_path: Path) -> None:
    daemon.answer = accepted
    command = f"{sys.executable} -m relay send --jsonl {_file(tmp_path, *[_line()] * 2000)} --home {home} | head -n 1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    assert json.loads(ran.stdout)["line"] == 1


class _Pipe:
    """Hands out bytes in given pieces, as a pipe does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def read(self, *_: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"x", b"\n"))), st.integers(4, 60))
def test_lines_do_not_depend_on_how_they_arrive(pieces: list[bytes], limit: int) -> None:
    import pytest

    pipe = _Pipe(list(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", pipe.read)
        patch.setattr(stream, "LINE_BYTES", limit)
        found = [line for lines in stream._available_lines(-1) for line in lines]
    whole = b"".join(pieces).split(b"\n")
    if not whole[-1]:
        whole.pop()
    assert found == [line + b"\n" if len(line) <= limit else None for line in whole]
