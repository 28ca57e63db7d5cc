"""`keys change`: dates, taking back, and what is refused, by the command itself."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.effects import effects_of
from keys.ceremony.network import read_network
from keys.ceremony.proposals import propose_change
from keys.roster.directory import Directory
from keys.roster.reorganisation import Reform, reorganise
from protocol.ids import Address
from relay.console.main import main
from relay.doctor.running import judge_office
from tests.keys.networks import SMALL, Administrator, make_office

FIRST, SECOND, THIRD = (make_office(number).address for number in (1, 2, 3))
NEW = "321322-GO"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    Administrator(place, now_us=time.time_ns() // 1_000 - 1_000_000, passphrase=b"of the lab")
    (place / "passphrase").write_bytes(b"of the lab")
    (place / "relay.toml").write_text("home_version = 1\n[office]\naddress = '320001-GO'\nnetwork = 'lab'\n")
    return place


@pytest.fixture
def change(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run `keys change … --json`; its object, or the error object, and the exit status."""

    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        status = main(["--home", str(root), "--json", "keys", "change", *arguments])
        caught = capsys.readouterr()
        found: dict[str, Any] = json.loads((caught.out if status == 0 else caught.err).splitlines()[-1])
        return {**found, "status": status}

    return run


def test_a_change_is_planned_and_comes_into_force_by_itself(root: Path, change: Callable[..., dict[str, Any]]) -> None:
    planned = change(FIRST, "--address", NEW, "--parent", SECOND, "--name", "沭阳县", "--from", "2046-07-01T00:00:00Z")
    assert (planned["status"], planned["state"], planned["version"]) == (0, "done", 2)
    assert planned["changes"] == [
        {
            "from": "2046-07-01T00:00:00.000000Z", "in_force": False, "address": NEW, "name": "沭阳县",
            "class": "county", "parent": SECOND, "standing": None, "successor": None,
        }
    ]  # fmt: skip
    directory = read_network(root).directory
    date_us = int(datetime(2046, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000
    office = make_office(1).id
    assert directory.at(date_us - 1).offices[office].address == FIRST
    assert directory.at(date_us).offices[office].address == NEW
    # The doctor of that office, on the day before and on the day.
    judged = [judge_office(directory.at(at_us), office, FIRST) for at_us in (date_us - 1, date_us)]
    assert [finding.code for finding in judged] == ["OFFICE_OK", "OFFICE_RENAMED"]
    assert judge_office(directory.at(date_us), office, NEW).code == "OFFICE_OK"
    # Taken back by either name, before it has begun.
    assert change(NEW, "--cancel")["changes"] == []
    assert read_network(root).directory.changes == ()
    assert change(FIRST, "--cancel")["code"] == "NOT_FOUND"


def test_a_merger_takes_effect_at_once_without_a_date(root: Path, change: Callable[..., dict[str, Any]]) -> None:
    merged = change(FIRST, "--successor", THIRD)
    assert (merged["changes"][0]["successor"], merged["changes"][0]["in_force"]) == (THIRD, True)
    directory = read_network(root).directory
    now_us = time.time_ns() // 1_000
    assert judge_office(directory.at(now_us), make_office(1).id, FIRST).code == "OFFICE_SUCCEEDED"
    assert directory.at(now_us).by_address(FIRST) == directory.at(now_us).offices[make_office(1).id]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((FIRST,), "BAD_FIELD"),
        ((FIRST, "--cancel", "--name", "甲"), "BAD_FIELD"),
        ((FIRST, "--name", "甲\n乙"), "BAD_FIELD"),
        ((FIRST, "--name", "甲", "--from", "yesterday"), "BAD_FIELD"),
        ((FIRST, "--name", "甲", "--from", "1996-07-17"), "BAD_FIELD"),
        ((FIRST, "--address", "here"), "BAD_FIELD"),
        ((FIRST, "--address", SECOND), "ADDRESS_TAKEN"),
        ((FIRST, "--parent", "999999-GO"), "NOT_FOUND"),
        ((FIRST, "--parent", FIRST), "BAD_FIELD"),
        (("999999-GO", "--name", "甲"), "NOT_FOUND"),
        ((FIRST, "--class", "kingdom"), "USAGE"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_signed(
    root: Path, change: Callable[..., dict[str, Any]], arguments: tuple[str, ...], code: str
) -> None:
    assert change(*arguments)["code"] == code
    assert read_network(root).directory.version == 1


def test_people_are_told_what_is_planned(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lang in ("en", "zh_CN"):
        name = f"name {lang}"
        status = main(
            ["--home", str(root), "--lang", lang, "keys", "change", SECOND, "--name", name, "--parent", "none"]
        )
        assert status == 0
        assert SECOND in capsys.readouterr().out


def test_whoever_signs_reads_rules_and_lists_as_words(root: Path) -> None:
    def ruled(one: Directory, _at_us: int) -> Directory:
        rules = replace(one.rules, require_reviewer=frozenset({"report", "letter"}))
        first = one.by_address(FIRST)
        assert first is not None
        moved = replace(first, brokers=("b2", "b1"), standing="direct")
        return replace(one, rules=rules, offices={**one.offices, first.id: moved})

    network = read_network(root)
    before = network.directory.by_address(FIRST)
    assert before is not None
    act = propose_change(network.files, ruled, "change", time.time_ns() // 1_000, SMALL)
    standing = "none" if before.standing is None else before.standing
    assert effects_of(network.files, act) == [
        f"~ {FIRST}: standing {standing} -> direct, brokers {' '.join(before.brokers) or 'none'} -> b1 b2",
        "rule require_reviewer: none -> letter report",
    ]


def test_what_is_planned_is_shown_before_and_after_it_is_signed(
    root: Path, change: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    files, now_us = read_network(root).files, time.time_ns() // 1_000
    date_us = int(datetime(2046, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000
    reform = Reform(address=Address(NEW), parent=Address(SECOND))
    act = propose_change(
        files, lambda one, at_us: reorganise(one, FIRST, reform, at_us, from_us=date_us), "change", now_us, SMALL
    )
    line = f"+ {FIRST} from 2046-07-01T00:00:00Z on: address {FIRST} -> {NEW}, parent {SECOND}"
    assert effects_of(files, act) == [line]
    change(FIRST, "--address", NEW, "--from", "2046-07-01T00:00:00Z")
    change(SECOND, "--address", "321300-GO")
    shown = {}
    for name in (FIRST, NEW, SECOND):
        capsys.readouterr()
        assert main(["--home", str(root), "--json", "keys", "show", name]) == 0
        shown[name] = json.loads(capsys.readouterr().out)
    assert shown[FIRST] == shown[NEW]
    assert (shown[FIRST]["address"], shown[FIRST]["changes"][0]["address"]) == (FIRST, NEW)
    assert (shown[SECOND]["address"], shown[SECOND]["former"]) == ("321300-GO", [SECOND])
