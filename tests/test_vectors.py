"""The vectors, run: each layer answers what the file expects; and the files are what the generator writes."""

from pathlib import Path
from typing import Any

import pytest

from protocol.errors import REMOTE_CODES
from tests.gm import needs_gm
from tests.vectors.generate import vectors
from tests.vectors.vector import FOLDER, LAYERS, read_vector, run

PATHS = sorted(FOLDER.glob("*.txt"))


def _case(path: Path) -> Any:
    return pytest.param(path, id=path.stem, marks=[needs_gm] if read_vector(path).context.get("suites") == "3" else [])


@pytest.mark.parametrize("path", [_case(path) for path in PATHS])
def test_g03_g10_vector(path: Path) -> None:
    vector = read_vector(path)
    assert run(vector) == vector.expect
    assert vector.text() == path.read_text(encoding="utf-8")


def test_the_files_are_what_the_generator_writes() -> None:
    made = {f"{vector.name}.txt": vector.text() for vector in vectors()}
    assert sorted(made) == [path.name for path in PATHS]
    assert [name for name in made if made[name] != (FOLDER / name).read_text(encoding="utf-8")] == []


def test_there_are_enough_and_most_fail() -> None:
    found = [read_vector(path) for path in PATHS]
    refused = [vector for vector in found if vector.expect != "ok"]
    assert len(found) >= 70
    assert len(refused) > 0.8 * len(found)
    assert {vector.layer for vector in found} == set(LAYERS)
    assert {vector.expect for vector in refused} <= REMOTE_CODES | {"TRUST_FOREIGN", "TRUST_UNSIGNED"}
    # What only a store can tell has no vector: these need a memory, a broker flag, or a private half that is gone.
    stateful = {"ID_REUSED", "RETAINED", "NOT_FOR_US", "STALE", "PREKEY_GONE", "SUSPENDED"}
    assert REMOTE_CODES - {vector.expect for vector in refused} == stateful
