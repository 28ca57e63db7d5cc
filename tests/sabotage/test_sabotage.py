"""The seeded faults fit the code, and a sample of them is tried at each run of the suite; all by `make sabotage`."""

from pathlib import Path

import pytest

from tests.sabotage.__main__ import FAULTS
from tests.sabotage.fault import Fault
from tests.sabotage.workshop import TOP, Workshop

SAMPLE = [
    "the outer signature is not checked where a copy passes through",
    "a receipt's signature is not checked",
    "a signature for one purpose counts for all (no domain separation)",
    "an older prekey replaces a newer one",
    "no memory of what came before",
    "a nack ends a parcel",
    "`expired` is said on a time-out, although sending began",
    "commits do not reach the disk (synchronous=NORMAL)",
    "a failed fsync is tried again",
    "quarantine grows without end",
    "a skipped number is not shown",
]
"""Faults that a test notices at once; the clean run of those tests is this suite."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_fits_the_code_and_names_tests_that_exist(fault: Fault) -> None:
    for edit in fault.edits:
        text = (TOP / edit.file).read_text(encoding="utf-8")
        assert text.count(edit.old) == 1, f"the code has moved on: {edit.old}"
        if edit.file.endswith(".py"):
            compile(text.replace(edit.old, edit.new), edit.file, "exec")
    assert fault.tests
    assert all((TOP / test.partition("::")[0]).exists() for tests in fault.tests for test in tests.split())


def test_the_faults_are_many_and_have_names_of_their_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 50
    assert {f"G{number}" for number in range(1, 17)} <= {fault.guarantee for fault in FAULTS}
    assert set(SAMPLE) <= {fault.name for fault in FAULTS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    place: Path = tmp_path_factory.mktemp("sabotage")
    return Workshop(place)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_seeded_fault_is_noticed(shop: Workshop, name: str) -> None:
    (fault,) = [one for one in FAULTS if one.name == name]
    assert shop.try_out(fault).caught_by is not None
