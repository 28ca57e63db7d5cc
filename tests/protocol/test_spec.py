"""SPEC.md and the code say the same: limits, codes, fields, purposes, kinds, and the worked example byte for byte."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import protocol
from keys import signing
from keys.gm import sm2_public
from keys.primitives import sha256
from keys.seal import BODY, KEY_WRAP
from keys.signing import ALGORITHMS
from protocol import cbor
from protocol.cbor import dumps
from protocol.errors import REMOTE_CODES, RemoteError
from protocol.frame import NACK_CODES
from protocol.lanes import KINDS
from protocol.receipt import DEAD, TYPES
from relay import evidence, settle
from tests.protocol.spec_example import codes_list, example_text, limits_table, make_evidence, maps

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


def test_the_sm2_key_of_the_spec_is_what_the_code_makes() -> None:
    public = sm2_public(bytes(32)).hex()
    assert f"of 32 zero bytes:\n      {public[:112]}\n      {public[112:]}\n" in SPEC
    assert dumps({1: BODY[3]}).hex().upper() in SPEC
    for number in (ALGORITHMS[3], BODY[3], KEY_WRAP[3]):
        assert f" {number} " in SPEC.split(". Suite 3\n")[1].replace("\n", " ")


@pytest.mark.parametrize("name", maps())
def test_the_fields_of_every_map_are_those_of_the_codec(name: str) -> None:
    body = re.search(rf"^ +{name} = \{{\n(.*?)^ +\}}", SPEC, re.DOTALL | re.MULTILINE)
    assert body is not None
    shown = [int(number) for number in re.findall(r"^ +(\d+) => ", body[1], re.MULTILINE)]
    assert shown == list(cbor.loads(maps()[name], max_bytes=100_000))


def test_evidence_is_as_the_spec_says() -> None:
    data = evidence.encode_evidence(make_evidence())
    parts = cbor.loads(data, max_bytes=100_000)
    checksum = parts.pop(6)
    assert checksum == sha256(cbor.dumps(parts))
    assert [name for name, _ in parts[2]] == sorted(make_evidence().trust)
    assert f'"{parts[1]}"' in SPEC
    assert f"At most {evidence.EVIDENCE_BYTES} bytes and {evidence.RECEIPTS_MAX} receipts" in SPEC
    assert evidence.decode_evidence(data) == make_evidence()


@given(st.data())
def test_g10_any_changed_byte_of_an_evidence_file_is_refused(data: st.DataObject) -> None:
    whole = evidence.encode_evidence(make_evidence())
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytes([*whole[:at], whole[at] ^ data.draw(st.integers(1, 255)), *whole[at + 1 :]])
    with pytest.raises(RemoteError):
        evidence.decode_evidence(changed)


def test_what_may_verify_later_is_named() -> None:
    assert all(f"`{code}`" in SPEC.split("**M37**")[1].split("- **")[0] for code in settle.SOON)


def test_words_of_the_wire_are_all_named() -> None:
    purposes = {value for value in vars(signing).values() if isinstance(value, str) and value.startswith("relay/1/")}
    assert all(f"`{purpose}`" in SPEC for purpose in purposes)
    for word in (*KINDS, *TYPES, *NACK_CODES, *DEAD):
        assert f'"{word}"' in SPEC


def test_every_must_has_its_number() -> None:
    numbers = [int(number) for number in re.findall(r"^- \*\*M(\d+)\*\*", SPEC, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_files_named_in_the_spec_exist() -> None:
    top = Path(protocol.__file__ or "").parent.parent
    for name in re.findall(r"`((?:protocol|keys|relay|tests)/[\w./-]+\.(?:py|txt|md))`", SPEC):
        assert (top / name).exists(), name
