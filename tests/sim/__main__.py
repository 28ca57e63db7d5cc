"""Run seeds by hand: `python -m tests.sim --seeds 100 --first 0 --messages 40 --hours 24 --mode safety --jobs 2`."""

import argparse
import sys

from tests.sim.campaign import Campaign
from tests.sim.weather import KINDS, Plan


def main() -> int:
    """Simulate seeds; every failure is shrunk and printed with the command that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--hours", type=float, default=0.0, help="virtual hours of storm; 0 for one of 20 to 90 s")
    parser.add_argument("--mode", choices=("liveness", "safety", "both"), default="liveness")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", default=None, help=f"of {', '.join(KINDS)}")
    parser.add_argument("--without", default="")
    parser.add_argument("--real-cryptography", action="store_true")
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--no-shrinking", action="store_true")
    options = parser.parse_args()
    modes = ("liveness", "safety") if options.mode == "both" else (options.mode,)
    plans = [
        Plan(
            seed, options.messages, options.hours, modes[seed % len(modes)],
            None if options.only is None else frozenset(options.only.split(",")) & KINDS.keys(),
            frozenset(options.without.split(",")) - {""},
            options.real_cryptography,
        )
        for seed in range(options.first, options.first + options.seeds)
    ]  # fmt: skip
    campaign = Campaign(options.jobs, keep_going=options.keep_going, shrinks=not options.no_shrinking)
    campaign.run(plans)
    print(campaign.summary())
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
