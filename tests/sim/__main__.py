"""Run seeds by hand: `python -m tests.sim --seeds 100 --first 0 --messages 40`."""

import argparse
import sys
import time
from collections import Counter

from tests.sim.storm import simulate, trace_of


def main() -> int:
    """Simulate seeds one after the other; the first failure ends it with the command that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--real-cryptography", action="store_true")
    parser.add_argument("--keep-going", action="store_true")
    options = parser.parse_args()
    began_s, virtual_s, copies, published, failed = time.monotonic(), 0.0, 0, 0, 0
    states: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.seeds):
        try:
            result = simulate(seed, messages=options.messages, real_cryptography=options.real_cryptography)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            failed += 1
            print(trace_of(error))
            print(f"seed {seed} failed: {error!r}")
            print(f"repeat: python -m tests.sim --first {seed} --seeds 1 --messages {options.messages}")
            if not options.keep_going:
                return 1
            continue
        virtual_s += result.virtual_s
        copies += result.accepted
        published += result.published
        states += result.states
        events += result.events
    took_s = time.monotonic() - began_s
    print(
        f"{options.seeds} seeds ({failed} failed) in {took_s:.1f} s: {options.seeds / took_s:.1f} seeds/s, "
        f"{virtual_s / 3600:.1f} virtual hours, {copies} copies ({copies / took_s:.0f}/s), {published} publishes, "
        f"{dict(states)}, events {dict(events)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
