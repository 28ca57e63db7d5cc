"""The administrators' journal: a chain of lines, whoever writes at the same time, and wherever a power cut tears it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from relay.console.keys.journal import note_act, read_journal


def test_two_administrators_at_once_leave_one_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: note_act(tmp_path, f"act {number}", True, (), number), range(40)))
    lines, broken = read_journal(tmp_path)
    assert ({line["act"] for line in lines}, broken) == ({f"act {number}" for number in range(40)}, None)


def test_a_torn_line_gives_way_to_the_next(tmp_path: Path) -> None:
    note_act(tmp_path, "whole", True, (), 1)
    note_act(tmp_path, "torn", True, (), 2)
    data = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(data[:-9])
    note_act(tmp_path, "after", True, (), 3)
    lines, broken = read_journal(tmp_path)
    assert ([line["act"] for line in lines], broken) == (["whole", "after"], None)
