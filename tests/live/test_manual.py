"""The administrator's manual is followed literally, from an empty disk to the end; it is the same in both languages."""

import sys
from pathlib import Path

import pytest

from tests.live.manual import Rehearsal, Step, environment, steps_of
from tests.live.network import ROOT
from tests.live.running import free_port

MANUAL, CHINESE = ROOT / "docs" / "administrator.md", ROOT / "docs" / "administrator.zh-CN.md"
SHEETS = (ROOT / "docs" / "ceremony-sheet.md", ROOT / "docs" / "ceremony-sheet.zh-CN.md")


def test_both_languages_have_the_same_commands() -> None:
    assert steps_of(CHINESE) == steps_of(MANUAL)
    assert len(steps_of(MANUAL)) > 40


def test_the_sheet_has_the_same_fields_in_both_languages() -> None:
    one, other = ([line.count("|") for line in sheet.read_text("utf-8").splitlines()] for sheet in SHEETS)
    assert one == other


@pytest.mark.live
@pytest.mark.timeout(600)
def test_g14_the_manual_leads_from_an_empty_disk_to_three_offices_one_rotated_and_one_revoked(tmp_path: Path) -> None:
    program = tmp_path / "bin"
    program.mkdir()
    (program / "relay").write_text(f'#!/bin/sh\nexec {sys.executable} -m relay "$@"\n')
    (program / "relay").chmod(0o755)
    moved = {port: str(free_port()) for port in ("8883", "8884")}
    rehearsal = Rehearsal(tmp_path, {**environment(program), "PYTHONPATH": str(ROOT)}, moved)
    followed: list[Step] = []
    try:
        for step in steps_of(MANUAL):
            rehearsal.follow(step)
            followed.append(step)
    finally:
        rehearsal.end()
        print("\n".join(f"$ {text}\n{said}" for text, said in rehearsal.said))
    for log in tmp_path.glob("terminal-*.log"):
        assert "Traceback" not in log.read_text(errors="replace")
