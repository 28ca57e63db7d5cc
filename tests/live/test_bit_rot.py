"""One flipped bit in any file of a home (tests/torture/rot.py): refused clearly or served unaltered (G3, G16)."""

from pathlib import Path

import pytest

from tests.torture.rot import torture

TRIALS = 30


@pytest.mark.timeout(240)
def test_g01_g03_g16_one_flipped_bit_is_a_clear_refusal_or_changes_nothing(tmp_path: Path) -> None:
    result = torture(tmp_path, seed=3, trials=TRIALS)
    print(result.trials, result.ends, "unreadable", result.unreadable)
    assert result.faults == []
    assert result.trials == TRIALS
    assert result.ends["serves"] >= TRIALS // 3
    # Whatever it is that flips in the store, its rows are salvaged.
    assert result.ends["BAD_STORE"] == 0
