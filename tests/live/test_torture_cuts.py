"""Power cuts by the dozen; a thousand by `make torture` (tests/torture/cuts.py)."""

import os

import pytest

from tests.torture.cuts import Result, summary, torture
from tests.torture.disks import why_not
from tests.torture.hands import at_once

RUNS, CUTS = 2, 28
CONTROL_CUTS = 8

# In continuous integration they must run: there a machine that cannot is a failure, not a reason to skip.
pytestmark = pytest.mark.skipif(bool(why_not()) and not os.environ.get("CI"), reason=why_not() or "they can")


@pytest.mark.timeout(400)
def test_g01_g02_g07_g08_g16_fifty_power_cuts_lose_nothing_and_make_no_receipt_untrue() -> None:
    results: list[Result] = at_once([(torture, (seed, CUTS)) for seed in range(RUNS)])
    found = summary(results)
    print(found)
    assert found["faults"] == []
    assert found["cuts"].total() >= 50
    assert found["cuts"]["receipt"] >= 20
    assert found["receipts aimed at"] >= found["cuts"]["receipt"]


@pytest.mark.timeout(200)
def test_g07_a_store_without_fsync_is_caught_by_the_cut_at_its_receipt() -> None:
    """The positive control: were the harness blind, the test above would say nothing."""
    result = torture(0, CONTROL_CUTS, control="no_fsync", kinds=("receipt",))
    assert result.untruthful >= 1
    assert any("(G7)" in fault for fault in result.faults)
