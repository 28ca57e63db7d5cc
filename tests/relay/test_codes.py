"""Stable codes: one table, two languages, one page in the docs."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.codes import CODES, error_object, human_lines, language, lookup, table_markdown
from relay.wording_en import WORDS as EN
from relay.wording_zh import WORDS as ZH

TOP = Path(__file__).parents[2]

CONTRACT = {
    65: "UNKNOWN_RECIPIENT REVOKED NOT_LIAISON CLASSIFIED NO_REVIEWER NO_ISSUER SAME_PERSON WRONG_ROLE "
    "LANE_NOT_ALLOWED TOO_LARGE BAD_FIELD ID_REUSED EXPIRED",
    75: "STORE_FULL BUSY TRUST_STALE WAIT_TIMEOUT",
    66: "NOT_FOUND",
    69: "DAEMON_DOWN",
    73: "HOME_IN_USE FILE_EXISTS",
    74: "OUTCOME_UNKNOWN",
    77: "NOT_PERMITTED",
    78: "BAD_CONFIG HOME_MISSING HOME_VERSION",
    1: "UNANCHORED VERIFY_FAILED",
    2: "USAGE",
    70: "INTERNAL",
}


def test_codes_have_the_exit_status_of_the_contract() -> None:
    for status, codes in CONTRACT.items():
        assert {code: CODES[code].exit for code in codes.split()} == dict.fromkeys(codes.split(), status)


def test_every_code_has_three_lines_in_both_languages() -> None:
    assert set(EN) == set(ZH) == set(CODES)
    for words in (*EN.values(), *ZH.values()):
        assert all(words)
        assert not any("|" in line or "\n" in line for line in words)


def test_the_page_in_the_docs_is_the_table() -> None:
    assert (TOP / "docs" / "codes.md").read_text(encoding="utf-8") == table_markdown()


def test_every_code_that_the_source_refuses_with_is_in_the_table() -> None:
    used: set[str] = set()
    for room in ("protocol", "keys", "config", "relay"):
        for file in (TOP / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                    first = node.args[0]
                    used |= {str(first.value)} if isinstance(first, ast.Constant) else set()
    assert used - set(CODES) == set()


def test_the_error_object_is_that_of_the_contract() -> None:
    assert error_object("BAD_FIELD", "zh_CN", "太长", "title", id="0198", state=None) == {
        "v": 1,
        "type": "error",
        "exit": 65,
        "code": "BAD_FIELD",
        "message": "请求中有一项不正确。",
        "hint": "请改正所指的项后重发。",
        "detail": "太长",
        "field": "title",
        "id": "0198",
    }
    assert set(error_object("BUSY")) == {"v", "type", "exit", "code", "message", "hint"}


def test_people_read_what_why_and_what_to_do() -> None:
    lines = human_lines("BAD_FIELD", "en", "longer than 100", "title")
    assert lines[1].endswith("title: longer than 100")
    assert human_lines("BAD_FIELD", "zh_CN", "", "title")[1].endswith("（title）")
    assert lookup("NO_SUCH_CODE").code == "INTERNAL"


@pytest.mark.parametrize(
    ("wish", "known"),
    [
        (None, "en"),
        ("", "en"),
        ("C.UTF-8", "en"),
        ("zh_CN.UTF-8", "zh_CN"),
        ("zh-Hans-CN", "zh_CN"),
        ("fr, zh;q=0.5, en;q=0.3", "zh_CN"),
        ("en;q=0.2, zh;q=0", "en"),
        ("zh;q=x", "en"),
        ("de", "en"),
    ],
)
def test_languages(wish: str | None, known: str) -> None:
    assert language(wish) == known


@given(st.text())
def test_any_wish_gives_a_language(wish: str) -> None:
    assert language(wish) in ("zh_CN", "en")
