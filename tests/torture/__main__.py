"""Torture by hand: `python -m tests.torture --kills 10000 --cuts 1000 --minutes 60`; run it again and it goes on."""

import argparse
import json
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.torture.campaign import RUN, Campaign, command_for, work
from tests.torture.disks import why_not
from tests.torture.hands import HANDS, Deadline
from tests.torture.points import Point, enumerate_points, share


def main() -> int:
    """Torture until the goals are reached, the time is over, or something is wrong."""
    options = _options()
    if options.again:
        return _again(options)
    goals = {"kills": options.kills, "cuts": options.cuts}
    if options.cuts and (reason := why_not()):
        print(f"no cuts: {reason}")
        goals["cuts"] = 0
    points: list[Point] = []
    if options.points:
        points = share(enumerate_points(), 1, options.seed)[0]
        goals["points"] = len(points) if options.points < 0 else options.points
    campaign = Campaign(options.record, {kind: goal for kind, goal in goals.items() if goal}, points, options.seed)
    campaign.load()
    print(f"record {options.record} with {len(campaign.lines)} runs, goals {campaign.goals}, seed {options.seed}")
    faults = _run(campaign, Deadline(60 * options.minutes), options.hands)
    print("\n".join(campaign.summary()))
    return 1 if faults else 0


def _again(options: argparse.Namespace) -> int:
    """One run of a record once more."""
    points = [Point(*name.split("/")[:4], int(name.split("/")[4])) for name in options.point]
    line = work(options.again, options.seed, options.share, points, Deadline(60 * options.minutes))
    print(json.dumps(line, ensure_ascii=False, indent=1))
    return 1 if line["faults"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000, help="kill -9 of daemons in all")
    parser.add_argument("--cuts", type=int, default=1_000, help="power cuts in all; need root")
    parser.add_argument("--points", type=int, default=-1, help="crash points in all; -1 for every one; need strace")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long, and go on another time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hands", type=int, default=HANDS, help="runs at once")
    parser.add_argument("--record", type=Path, default=Path("build/torture.jsonl"), help="what was done so far")
    parser.add_argument("--again", choices=sorted(RUN), help="repeat one run, with --seed and --share")
    parser.add_argument("--share", type=int, default=100, help="how many kills or cuts --again makes")
    parser.add_argument("--point", action="append", default=[], help="a crash point that --again tries")
    return parser.parse_args()


def _run(campaign: Campaign, enough: Deadline, hands: int) -> int:
    """Keep the hands busy; a fault ends it when the runs under way have ended. How many faults were found."""
    running: dict[Future[dict[str, Any]], int] = {}
    faults = 0
    with ProcessPoolExecutor(hands, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        while True:
            while len(running) < hands and not enough() and not faults:
                wanted = campaign.next_run()
                if wanted is None:
                    break
                kind, seed, size, names = wanted
                running[pool.submit(work, kind, seed, size, names, enough)] = size
            if not running:
                return faults
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                line = future.result()
                campaign.finish(line, running.pop(future))
                faults += len(line["faults"])
                print(f"{line['kind']} seed {line['seed']}: {line['counts']}, {len(line['faults'])} faults", flush=True)
                if line["faults"]:
                    print("\n".join(line["faults"]), command_for(line), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
