"""Twenty seconds of what `make soak` does for an hour (G13)."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.live.network import network
from tests.live.soak import plan, soak

pytestmark = pytest.mark.live


def test_g13_a_flood_from_twenty_strangers_leaves_memory_flat_and_the_service_usable(tmp_path: Path) -> None:
    with network(tmp_path, plan()) as lab:
        lab.up()
        found = soak(lab, minutes=20 / 60, clients=20, per_client_s=20)
        print(asdict(found))
        assert not found.complaints
