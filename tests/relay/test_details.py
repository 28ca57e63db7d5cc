"""Details in Chinese: one for each English one that a person may be shown, and none for what nobody says any more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from relay.codes import error_object, human_lines
from relay.console.output import cell
from relay.details import in_chinese
from relay.wording_details_zh import DETAILS

TOP = Path(__file__).parents[2]
PLACES: Final = {
    "Refused": 1,
    "Failure": 1,
    "TrustError": 1,
    "KeyFileError": 2,
    "Finding": 3,
    "sound": 2,
    "Objection": 2,
}
"""Which argument of whom is a detail. Those of `RemoteError` say which rule of the wire was broken, to engineers."""


def forms(node: ast.AST | None) -> Iterator[str]:
    """The text of a string in the source, with `{}` for its values; both of an alternative."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in values)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*forms(body), *forms(orelse))
        case ast.Subscript(value=value):
            yield from forms(value)


def nodes() -> Iterator[ast.AST]:
    for room in ("protocol", "keys", "config", "relay"):
        for file in (TOP / room).rglob("*.py"):
            # Plans of laboratories are written by engineers, the demonstration tells its own story.
            if not {"demo", "lab"} & set(file.parts) and not file.name.startswith("wording_details"):
                yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def details(node: ast.AST) -> Iterator[str]:
    """What a node gives as a detail."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in PLACES:
            yield from forms(args[PLACES[name]] if len(args) > PLACES[name] else None)
        case ast.Assign(targets=[ast.Name(id="detail")], value=value):
            yield from forms(value)


def test_every_detail_has_chinese_and_nothing_else_has() -> None:
    found, said = set[str](), set[str]()
    for node in nodes():
        found |= set(forms(node)) if isinstance(node, ast.Constant | ast.JoinedStr) else set()
        said |= {text for text in details(node) if re.search("[a-z]{2}", text.replace("{}", ""))}
    assert len(said) > 300
    assert not said - set(DETAILS), "these have no Chinese in relay/wording_details_zh.py or wording_details_keys_zh.py"
    assert not set(DETAILS) - found, "nobody says these any more"


def test_every_detail_comes_back_in_chinese_with_its_values() -> None:
    for english, chinese in DETAILS.items():
        values = [f"<{number}>" for number in range(english.count("{}"))]
        assert in_chinese(english.format(*values)) == chinese.format(*values), english
        assert sorted(re.findall("<[0-9]>", chinese.format(*values))) == values, english
        assert re.search("[\u4e00-\u9fff]", chinese)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("SQLITE_IOERR", "SQLITE_IOERR"),
        ("Expected `str`, got `int`: $.title", "Expected `str`, got `int`: $.title"),
        ("320924-GO is suspended", "320924-GO 已被暂停"),
        ("must be one of a, b", "须为 a, b 之一"),
        ("/a/b: it is sealed under a passphrase", "/a/b：它由口令封存"),
        ("a: nobody knows; the title is empty; and 3 more", "a: nobody knows；标题为空；另有 3 个"),
        ("no act waits; to stop it for longer, revoke it", "没有待签事项；要更久地停用它，请予以吊销"),
    ],
)
def test_values_and_parts_are_said_in_chinese_and_what_is_unknown_stays(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese


def test_people_are_shown_the_chinese_and_programs_the_english() -> None:
    assert human_lines("BAD_FIELD", "zh_CN", "the title is empty", "title")[1].endswith("（title: 标题为空）")
    assert human_lines("BAD_FIELD", "en", "the title is empty", "title")[1].endswith("title: the title is empty")
    assert error_object("BAD_FIELD", "zh_CN", "the title is empty")["detail"] == "the title is empty"
    alarm = {"code": "CLOCK_SKEW", "detail": "320924-GO is 2m 10s ahead"}
    assert cell(alarm, "alarm", "zh_CN") == "code=CLOCK_SKEW detail=320924-GO 快 2m 10s"
    assert cell(alarm, "alarm", "en") == "code=CLOCK_SKEW detail=320924-GO is 2m 10s ahead"
