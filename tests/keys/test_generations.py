"""Generations of files: whole or absent, numbered upwards, and only the newest are kept."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.files.generations import list_generations, read_generation, write_generation

names = st.text("abc.", min_size=1, max_size=8).filter(lambda name: name.strip("."))
contents = st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=4)


@settings(max_examples=25)
@given(st.lists(contents, min_size=1, max_size=5), st.integers(1, 3))
def test_the_newest_are_kept_as_written(
    tmp_path_factory: pytest.TempPathFactory, sets: list[dict[str, bytes]], keep: int
) -> None:
    place = tmp_path_factory.mktemp("generations") / "network"
    for files in sets:
        assert read_generation(write_generation(place, files, keep=keep)) == files
    kept = list_generations(place)
    assert [read_generation(path) for path in kept] == sets[::-1][:keep]
    assert kept[0].name == f"{len(sets):08d}"


@pytest.mark.parametrize("step", ["fsync", "open", "rename"])
def test_a_failure_at_any_step_leaves_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_generation(tmp_path, {"a": b"1"}, keep=2)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "rename" else os, step, fail)
        with pytest.raises(OSError, match="No space"):
            write_generation(tmp_path, {"a": b"2"}, keep=2)
    assert [read_generation(path) for path in list_generations(tmp_path)] == [{"a": b"1"}]
    write_generation(tmp_path, {"a": b"3"}, keep=2)
    assert [read_generation(path) for path in list_generations(tmp_path)] == [{"a": b"3"}, {"a": b"1"}]


def test_what_a_crash_left_behind_is_ignored_and_cleared_away(tmp_path: Path) -> None:
    write_generation(tmp_path, {"a": b"1"}, keep=2)
    torn = tmp_path / ".new-0123456789ab"
    torn.mkdir()
    (torn / "a").write_bytes(b"torn")
    assert [path.name for path in list_generations(tmp_path)] == ["00000001"]
    write_generation(tmp_path, {"a": b"2"}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000002"]
    assert list_generations(tmp_path / "nowhere") == []
