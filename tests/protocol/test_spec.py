"""SPEC.md and the code say the same: limits, codes, fields, purposes, kinds, and the worked example byte for byte."""

import re
from pathlib import Path

import pytest

import protocol
from keys import signing
from protocol import cbor
from protocol.errors import REMOTE_CODES
from protocol.frame import NACK_CODES
from protocol.lanes import KINDS
from protocol.receipt import TYPES
from tests.protocol.spec_example import codes_list, example_text, limits_table, maps

assert protocol.__file__ is not None
SPEC = (Path(protocol.__file__).parent / "SPEC.md").read_text(encoding="utf-8")


def test_the_limits_are_those_of_limits_py() -> None:
    assert f"|---|---|---|---|\n{limits_table()}\n" in SPEC


def test_the_codes_are_those_of_errors_py() -> None:
    assert f"\n\n{codes_list()}\n\n" in SPEC
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", SPEC)) - set(NACK_CODES)
    assert named - REMOTE_CODES <= {"MUST"}
    assert named >= REMOTE_CODES


def test_the_worked_example_is_what_the_code_makes() -> None:
    assert f"\n\n{example_text()}\n\n" in SPEC


@pytest.mark.parametrize("name", maps())
def test_the_fields_of_every_map_are_those_of_the_codec(name: str) -> None:
    body = re.search(rf"^ +{name} = \{{\n(.*?)^ +\}}", SPEC, re.DOTALL | re.MULTILINE)
    assert body is not None
    shown = [int(number) for number in re.findall(r"^ +(\d+) => ", body[1], re.MULTILINE)]
    assert shown == list(cbor.loads(maps()[name], max_bytes=100_000))


def test_words_of_the_wire_are_all_named() -> None:
    purposes = {value for value in vars(signing).values() if isinstance(value, str) and value.startswith("relay/1/")}
    assert all(f"`{purpose}`" in SPEC for purpose in purposes)
    for word in (*KINDS, *TYPES, *NACK_CODES):
        assert f'"{word}"' in SPEC


def test_every_must_has_its_number() -> None:
    numbers = [int(number) for number in re.findall(r"^- \*\*M(\d+)\*\*", SPEC, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_files_named_in_the_spec_exist() -> None:
    top = Path(protocol.__file__ or "").parent.parent
    for name in re.findall(r"`((?:protocol|keys|tests)/[\w./-]+\.(?:py|txt|md))`", SPEC):
        assert (top / name).exists(), name
