"""Tries every seeded fault and says which test noticed it.

    python -m tests.sabotage [--jobs 2] [--quick] [--trust] [--list] [WORD ...]

WORDs choose faults whose names have all of them. First the tests run on an untouched copy and must pass (--trust leaves
that out, where the suite has just passed); then each fault is put in alone. Exit status 1 when one survives, 2 when one
no longer fits the code. The checkout itself is never touched.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.sabotage.damage_faults import DAMAGE_FAULTS
from tests.sabotage.enrolment_faults import ENROLMENT_FAULTS
from tests.sabotage.fault import Fault
from tests.sabotage.relay_faults import RELAY_FAULTS
from tests.sabotage.store_faults import STORE_FAULTS
from tests.sabotage.trust_faults import TRUST_FAULTS
from tests.sabotage.wire_faults import WIRE_FAULTS
from tests.sabotage.workshop import OutOfDate, Trial, Workshop

FAULTS: Final = (*WIRE_FAULTS, *ENROLMENT_FAULTS, *TRUST_FAULTS, *RELAY_FAULTS, *STORE_FAULTS, *DAMAGE_FAULTS)


def try_all(faults: Sequence[Fault], jobs: int, *, trusting: bool) -> Iterator[Trial | OutOfDate]:
    """The trials in the order of `faults`; `jobs` copies work at once."""
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder, ThreadPoolExecutor(jobs) as pool:
        shops: SimpleQueue[Workshop] = SimpleQueue()
        for number in range(jobs):
            place = Path(folder) / str(number)
            place.mkdir()
            shops.put(Workshop(place))
        if not trusting:
            tests = sorted({one for fault in faults for tests in fault.tests for one in tests.split()})
            shop = shops.get()
            print(f"clean: {len(tests)} test selections pass in {shop.check_clean(tests):.0f} s", flush=True)
            shops.put(shop)

        def try_one(fault: Fault) -> Trial | OutOfDate:
            shop = shops.get()
            try:
                return shop.try_out(fault)
            except OutOfDate as error:
                return error
            finally:
                shops.put(shop)

        yield from pool.map(try_one, faults)


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(prog="tests.sabotage")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="only faults that are noticed within seconds")
    parser.add_argument("--trust", action="store_true", help="the suite has just passed: leave the clean run out")
    parser.add_argument("--list", action="store_true", help="name the faults and do nothing")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    faults = [one for one in FAULTS if all(word in one.name for word in options.words)]
    faults = [one for one in faults if one.quick or not options.quick]
    if options.list:
        for one in faults:
            print(f"{one.guarantee:4} {one.name}")
        return 0
    began = time.monotonic()
    survived, outdated = 0, 0
    for fault, trial in zip(faults, try_all(faults, options.jobs, trusting=options.trust), strict=True):
        if isinstance(trial, OutOfDate):
            outdated += 1
            print(f"{fault.guarantee:4} {fault.name}\n     OUT OF DATE: {trial}", flush=True)
        else:
            survived += trial.caught_by is None
            said = f"caught by {trial.caught_by}" if trial.caught_by else "SURVIVED"
            print(f"{fault.guarantee:4} {fault.name}\n     {said}  {trial.seconds:.1f} s", flush=True)
    caught = len(faults) - survived - outdated
    print(f"{caught} of {len(faults)} faults caught, {survived} survived, {outdated} out of date,"
          f" {time.monotonic() - began:.0f} s")  # fmt: skip
    return 2 if outdated else int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
