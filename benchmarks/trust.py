"""What a directory of 1,500 offices costs: first load, start, the same files again, a new timestamp, a new directory.

`python -m benchmarks.trust`. CPU milliseconds, the least of several rounds: what the machine does besides only adds.
"""

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.revocation import OFFICES, province
from keys.ceremony.network import init_network, renew_timestamp
from keys.ceremony.pending import Signers, change_jointly
from keys.files.keyfile import LAB_COST
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeKey
from keys.trust import TrustStore

ROUNDS: Final = 5


def _with_second_keys(directory: Directory) -> Directory:
    """Every office has a second key too, which the roster names by its SHA-256."""
    offices = {}
    for id_, office in directory.offices.items():
        first = office.keys[0]
        second = OfficeKey.second(id_, first.not_before_us, first.not_after_us)
        offices[id_] = replace(office, keys=(*office.keys, second))
    return replace(directory, offices=offices)


def _least_ms(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best * 1_000


def main() -> None:
    """Print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        place, now_us = Path(folder), time.time_ns() // 1_000
        directory = _with_second_keys(province(0))

        def unlock(_label: str) -> bytes:
            return b"lab"

        first = init_network(
            place / "root", directory, now_us, unlock=unlock, entropy=secrets.token_bytes, cost=LAB_COST
        )
        sizes = {name: len(data) for name, data in first.files.items()}
        print(f"{OFFICES} offices; files: " + ", ".join(f"{name} {size:,}" for name, size in sorted(sizes.items())))
        homes = iter(range(1_000))
        fresh = _least_ms(lambda: TrustStore.install(place / f"home-{next(homes)}", first.files, now_us))
        store = TrustStore(place / "home-0")
        start = _least_ms(lambda: store.load(now_us))
        again = _least_ms(lambda: store.update(first.files, now_us))
        stamps, acts = [], []
        for number in range(ROUNDS):
            files = renew_timestamp(place / "root", now_us + 10 * number + 1).files
            stamps.append(_once_ms(lambda: store.update(files, now_us + 10 * number + 1)))  # noqa: B023
            at_us = now_us + 10 * number + 5
            outcome = change_jointly(place / "root", lambda known, _: known, f"turn {number}", at_us, Signers(unlock))
            next_ = outcome.network.files
            acts.append(_once_ms(lambda: store.update(next_, at_us)))  # noqa: B023
        for what, cost in (
            ("first load into a new home", fresh),
            ("load at a start", start),
            ("the same files again", again),
            ("a new timestamp", min(stamps)),
            ("a new directory", min(acts)),
        ):
            print(f"{what:<28} {cost:8.1f} ms CPU")


def _once_ms(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1_000


if __name__ == "__main__":
    main()
