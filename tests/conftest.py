"""Hypothesis profiles, and the mark of the live tests.

`dev` (default) explores anew at each run; `ci` is the same on every machine; `mutants` is short for many runs, and does
not shrink; `long` is for a night: `HYPOTHESIS_PROFILE=long pytest`.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, database=None, print_blob=True)
settings.register_profile(
    "mutants", parent=settings.get_profile("ci"), max_examples=40, phases=[Phase.explicit, Phase.generate]
)
settings.register_profile("long", parent=settings.get_profile("dev"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

_LIVE = Path(__file__).parent / "live"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in tests/live needs real brokers or daemons; quick tests go first."""
    for item in items:
        if item.path.is_relative_to(_LIVE):
            item.add_marker("live")
    items.sort(key=lambda item: item.path.is_relative_to(_LIVE))
