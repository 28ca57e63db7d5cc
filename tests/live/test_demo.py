"""`relay demo` as a newcomer runs it: from an empty directory, with an empty home; nothing may be left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.network import read_network
from keys.prekeys import parse_prekey
from tests.gm import needs_gm

TOP = Path(__file__).resolve().parents[2]
ACTS = ["network", "report", "screening", "broker_killed", "evidence", "closing"]
STEPS = {
    *("lab_made", "all_ready", "report_accepted", "custody", "delivered", "same_bytes", "city_inbox_empty"),
    "approved",
    *("city_cannot_read", "signed_for", "not_liaison", "screened_to_city", "forwarded", "original_inside", "killed"),
    *("queued", "broker_back", "flash_first", "nothing_lost", "all_delivered", "no_quarantine", "all_stopped"),
    *("verified_offline", "forgery_found"),
}


class Place:
    """Empty folders to run in, and what a run has left there."""

    def __init__(self, folder: Path) -> None:
        self.work, self.home, self.temporary = (folder / name for name in ("work", "home", "tmp"))
        for path in (self.work, self.home, self.temporary):
            path.mkdir()

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return subprocess.Popen(
            [sys.executable, "-m", "relay", "demo", *words],
            cwd=self.work,
            env=env | {"PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def tell(self, *words: str) -> tuple[int, list[dict[str, Any]], bytes]:
        with self.start("--json", *words) as process:
            out, err = process.communicate(timeout=100)
            return process.returncode, [json.loads(line) for line in out.splitlines()], err

    def leftovers(self) -> list[str]:
        """Files in the three folders, and processes that name one of them."""
        files = [str(path) for folder in (self.work, self.home, self.temporary) for path in folder.iterdir()]
        return files + running_in(self.temporary)


def running_in(folder: Path) -> list[str]:
    """Processes with the folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words:
                found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_story_holds_and_leaves_nothing_behind(place: Place) -> None:
    status, lines, errors = place.tell()
    assert status == 0, errors
    assert all(line["v"] == 1 for line in lines)
    steps = [line for line in lines if line["type"] == "step"]
    assert {step["step"] for step in steps} == STEPS
    assert all(step["ok"] for step in steps)
    result = lines[-1]
    assert result["type"] == "result"
    assert result["ok"] is True
    assert [act["name"] for act in result["acts"]] == ACTS
    assert all(act["ok"] for act in result["acts"])
    assert result["counts"] == {"sent": 304, "delivered": 304, "refused": 1, "lost": 0, "duplicated": 0}
    assert result["seconds"] < 60
    assert place.leftovers() == []


def test_the_second_suite_kept_in_a_directory(place: Place) -> None:
    kept = place.work / "kept"
    status, lines, errors = place.tell("--suite", "2", "--keep", "kept")
    assert status == 0, errors
    assert lines[-1]["suite"] == 2
    prekeys = list((kept / "lab" / "offices").glob("*/trust/prekeys/*.cbor"))
    assert len(prekeys) == 16
    assert {parse_prekey(path.read_bytes()).suite for path in prekeys} == {2}
    assert (kept / "evidence.cbor").is_file()
    assert running_in(kept) == []
    status, _, errors = place.tell("--keep", "kept")
    assert status == 73
    assert json.loads(errors.splitlines()[-1])["code"] == "FILE_EXISTS"


@needs_gm
def test_the_sm_suite_tells_the_same_story(place: Place) -> None:
    kept = place.work / "kept"
    status, lines, errors = place.tell("--suite", "gm", "--keep", "kept")
    assert status == 0, errors
    assert lines[-1]["suite"] == 3
    assert lines[-1]["counts"] == {"sent": 304, "delivered": 304, "refused": 1, "lost": 0, "duplicated": 0}
    assert {step["step"] for step in lines if step["type"] == "step"} == STEPS
    directory = read_network(kept / "lab" / "root").directory
    assert directory.rules.suites == (3,)
    assert {key.suite for office in directory.offices.values() for key in office.keys} == {3, 128}
    assert {person.suite for office in directory.offices.values() for person in office.persons} == {3}
    prekeys = list((kept / "lab" / "offices").glob("*/trust/prekeys/*.cbor"))
    assert {parse_prekey(path.read_bytes()).suite for path in prekeys} == {3}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_story_leaves_no_process(place: Place, number: signal.Signals) -> None:
    with place.start() as process:
        deadline_s = time.monotonic() + 30
        # Two brokers and four daemons, each with its home or its configuration in the command line.
        while len(running_in(place.temporary)) < 6:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    if number == signal.SIGKILL:
        # Nobody is left to take the folder away; the kernel ends the processes.
        while running_in(place.temporary):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    else:
        assert place.leftovers() == []
