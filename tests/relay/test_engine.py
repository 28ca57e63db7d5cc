"""What the engine does in threads touches nothing that belongs to the event loop."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from relay.engine import Engine
from tests.world import COUNTY, DIRECTORY, NOW_US


def test_g09_what_ends_when_is_gathered_in_a_thread_that_asks_neither_clock_nor_ground(tmp_path: Path) -> None:
    ground = SimpleNamespace(
        keyring=SimpleNamespace(own_record=None),
        clock=SimpleNamespace(now_us=lambda: NOW_US),
        directory=DIRECTORY,
        identity=SimpleNamespace(office=COUNTY),
    )
    engine: Any = SimpleNamespace(_ground=ground)
    store: Any = SimpleNamespace(publishable_files=dict)
    gather = Engine._ends(engine, store, tmp_path)
    vars(ground).clear()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(gather).result()
    assert {"identity"} <= {one.what for one in found}
