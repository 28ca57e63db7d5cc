"""Received messages: lists, saving under names of strangers, taking, acknowledging, signing for, returning."""

import base64
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Refused
from relay.console.saving import NAME_BYTES, distinct_names, open_folder, safe_name, write_files
from tests.relay.console.fake import ID, FakeDaemon, Ran, Seen, problem

Relay = Callable[..., Ran]
ROW: dict[str, Any] = {
    "v": 1,
    "id": ID,
    "from": "320924-GO",
    "to": ["320000-GO"],
    "cc": [],
    "kind": "report",
    "urgency": "flash",
    "lane": "flash",
    "title": "关于防汛工作的报告",
    "digest": "sha256:00",
    "bytes": 5,
    "attachments": [],
    "received_at": "2026-07-01T00:00:00.000000Z",
    "state": "new",
    "flags": ["late"],
}


def _json(found: Any) -> tuple[int, bytes]:
    return 200, json.dumps(found).encode()


def test_the_list_as_lines_and_as_a_table(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: (200, (json.dumps(ROW) + "\n").encode() * 2)
    ran = relay("inbox", "list", "--state", "new", "--limit", "5", "--json")
    assert ran.lines() == [ROW, ROW]
    assert daemon.seen[0].path == "/v1/messages?box=inbox&state=new&limit=5"
    words = relay("--lang", "zh_CN", "inbox", "list").out
    assert ID in words
    assert "特提" in words
    assert "关于防汛工作的报告" in words
    assert "逾期" in words
    assert "\x1b" not in words
    assert "flash" in relay("inbox", "list").out


def test_an_empty_list(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: (200, b"")
    assert relay("inbox", "list", "--json") == Ran(0, "", "")
    assert relay("inbox", "list", "--lang", "zh_CN").out == "没有。\n"


def test_a_message_is_shown_without_its_escape_sequences(relay: Relay, daemon: FakeDaemon) -> None:
    original = {"id": ID, "from": "320925-GO", "title": "原题", "body": "原文", "verified": True}
    daemon.answer = lambda seen: _json({**ROW, "title": "a\x1b[2Jb", "body": "正文\u202e", "original": original})
    ran = relay("inbox", "show", ID[:8])
    assert ran.exit == 0
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    assert "原文" in ran.out
    assert relay("inbox", "show", ID, "--json").object()["body"] == "正文\u202e"


@pytest.mark.parametrize("bad", ["ZZZ", "../status", "0" * 37, "", "-"])
def test_malformed_ids(relay: Relay, daemon: FakeDaemon, bad: str) -> None:
    for command in (("inbox", "show"), ("track",), ("queue", "show"), ("cancel",)):
        ran = relay(*command, "--json", "--", bad)
        assert (ran.exit, ran.error()["code"], ran.error()["field"]) == (65, "BAD_FIELD", "id")
    assert daemon.seen == []


def test_an_unknown_id(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: problem("NOT_FOUND", 404)
    ran = relay("inbox", "show", ID, "--json")
    assert (ran.exit, ran.error()["code"]) == (66, "NOT_FOUND")


def _files(*names: str) -> tuple[int, bytes]:
    attachments = [{"name": name, "data": base64.b64encode(name.encode()).decode()} for name in names]
    return _json({"v": 1, "meta": {"id": ID, "from": "320924-GO"}, "body": "正\r\n文", "attachments": attachments})


def test_saving_writes_everything_once(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = lambda seen: _files("表.xls", "../../表.xls", "body.txt", "/etc/passwd")
    folder = tmp_path / "saved"
    ran = relay("inbox", "save", ID, str(folder), "--json")
    assert ran.exit == 0, ran.err
    assert {path.name for path in folder.iterdir()} == {
        "body.txt", "meta.json", "表.xls", "表 (2).xls", "body (2).txt", "passwd",
    }  # fmt: skip
    assert (folder / "body.txt").read_bytes() == "正\r\n文".encode()
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert meta["attachments"][1] == {"name": "../../表.xls", "saved_as": "表 (2).xls", "bytes": 13}
    before = {path: path.read_bytes() for path in folder.iterdir()}
    again = relay("inbox", "save", ID, str(folder), "--json")
    assert (again.exit, again.error()["code"]) == (73, "FILE_EXISTS")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_follows_no_link_and_leaves_no_half(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.answer = lambda seen: _files("a", "trap")
    (tmp_path / "victim").write_text("mine")
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "trap").symlink_to(tmp_path / "victim")
    assert relay("inbox", "save", ID, str(folder)).exit == 73
    assert (tmp_path / "victim").read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["trap"]


def test_a_folder_that_cannot_be_written_opens_nothing(relay: Relay, daemon: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert relay("inbox", "save", ID, str(tmp_path / "file")).exit == 73
    assert relay("inbox", "save", ID, str(tmp_path / "none" / "below")).exit == 66
    assert daemon.seen == []


NASTY = st.text(max_size=300) | st.lists(
    st.sampled_from(
        [
            "..",
            ".",
            "/",
            "\\",
            "\0",
            "con",
            ".txt",
            "a",
            "A",
            " ",
            "\u202e",
            "表",
            "é",
            "e\u0301",
            "\n",
            "body.txt",
            "meta.json",
            "x" * 200,
        ]
    )
).map("".join)


@given(NASTY)
def test_a_safe_name_is_one_plain_component(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert len(safe.encode()) <= NAME_BYTES + 1
    assert not set(safe) & set('/\\:*?"<>|\0\n\r\u202e\u200b')
    assert not safe.startswith(".")
    assert safe == safe.strip()
    assert safe.isprintable()


@given(st.lists(NASTY, max_size=12))
def test_saved_files_stay_in_the_folder_and_apart(names: list[str]) -> None:
    chosen = distinct_names(names, ("body.txt", "meta.json"))
    assert len({name.casefold() for name in (*chosen, "body.txt", "meta.json")}) == len(names) + 2
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "folder"
        descriptor = open_folder(folder)
        try:
            write_files(descriptor, [(name, b"data") for name in chosen])
        finally:
            os.close(descriptor)
        assert [path.name for path in Path(root).iterdir()] == ["folder"]
        assert sorted(path.name for path in folder.iterdir()) == sorted(chosen)


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "/abs"])
def test_a_path_is_never_written(tmp_path: Path, name: str) -> None:
    descriptor = open_folder(tmp_path)
    try:
        with pytest.raises(Refused, match="CANNOT_WRITE"):
            write_files(descriptor, [("first", b""), (name, b"")])
    finally:
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_taking_and_acknowledging(relay: Relay, daemon: FakeDaemon) -> None:
    def answer(seen: Seen) -> tuple[int, bytes]:
        if seen.path == "/v1/inbox/take":
            return 200, (json.dumps({**ROW, "body": "正文"}) + "\n").encode()
        error = {"v": 1, "type": "error", "code": "NOT_FOUND", "exit": 66}
        lines = [
            error if each.startswith("f") else {"v": 1, "id": each, "state": "taken"} for each in seen.json()["ids"]
        ]
        return 200, "\n".join(json.dumps(line) for line in lines).encode()

    daemon.answer = answer
    assert relay("inbox", "take", "--max", "3", "--json").lines()[0]["body"] == "正文"
    assert daemon.seen[0].json() == {"max": 3}
    assert relay("inbox", "ack", ID, "--json").exit == 0
    ran = relay("inbox", "ack", ID, "bad id", "ffff", "--json")
    assert [line.get("code") for line in ran.lines()] == [None, "BAD_FIELD", "NOT_FOUND"]
    assert (ran.exit, ran.error()["id"]) == (65, "bad id")
    assert "正文" in relay("inbox", "take").out


def test_signing_for_and_returning(relay: Relay, daemon: FakeDaemon) -> None:
    daemon.answer = lambda seen: _json({"v": 1, "id": ID, "state": "signed_for", "type": "person_signed"})
    assert relay("sign-for", ID, "--by", "张三", "--json").object()["type"] == "person_signed"
    assert daemon.seen[0].json() == {"by": "张三"}
    assert "张三" in relay("sign-for", ID, "--by", "张三", "--lang", "zh_CN").out
    assert relay("return", ID, "--reason", "  ").exit == 65
    assert relay("return", ID, "--reason", "重复报送", "--json").exit == 0
    assert relay("sign-for", ID).exit == 2
