"""Fuzzes every target for some seconds each.

    python -m tests.fuzz [--seconds 10] [--jobs 2] [--keep] [--repeat FILE] [TARGET ...]

Prints for each target how often it ran, how much code it covered, and what it found; what is new to the corpus is
kept in tests/fuzz/corpus only with --keep, merged and small. Exit status 1 for a crash, a hang over 5 s or memory over
1 GiB: the bytes lie in fuzz-found/, and the command that repeats it is printed.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.targets import CORPUS, TARGETS, seeds, total

TOP: Final = Path(__file__).resolve().parent.parent.parent
FOUND: Final = TOP / "fuzz-found"
KEPT_BYTES: Final = 2_048
"""Largest new input that is worth keeping in the project."""
KEPT_FILES: Final = 4
"""Most new inputs kept for a target, the smallest first."""


@dataclass(frozen=True)
class Run:
    """What a run of one target came to."""

    name: str
    executions: int
    covered: int
    new: int
    crashes: tuple[Path, ...]
    output: str


def fuzz(name: str, seconds: int, *, keep: bool) -> Run:
    """Run one target in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        begin, grown = Path(folder) / "begin", Path(folder) / "grown"
        begin.mkdir()
        grown.mkdir()
        for number, data in enumerate(seeds(name)):
            (begin / f"{number:04}").write_bytes(data)
        FOUND.mkdir(exist_ok=True)
        before = set(FOUND.iterdir())
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.fuzz.one", name, str(grown), str(begin), f"-max_total_time={seconds}",
                f"-max_len={TARGETS[name].max_bytes}", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1",
                f"-artifact_prefix={FOUND}/{name}-",
            ],
            cwd=TOP, capture_output=True, text=True, check=False, errors="replace",
        )  # fmt: skip
        output = done.stdout + done.stderr
        crashes = tuple(sorted(path for path in set(FOUND.iterdir()) - before if path.name.startswith(f"{name}-")))
        if keep:
            _keep(name, grown)
        ran = re.findall(r"stat::number_of_executed_units: +(\d+)", output)
        covered = re.findall(r"cov: (\d+)", output)
        if done.returncode != 0 and not crashes:
            raise SystemExit(f"{name} could not be fuzzed:\n{output[-3000:]}")
        return Run(name, int(ran[-1]) if ran else 0, int(covered[-1]) if covered else 0,
                   len(list(grown.iterdir())), crashes, output)  # fmt: skip


def _keep(name: str, grown: Path) -> None:
    """The smallest inputs that reached something new."""
    small = sorted((path.read_bytes() for path in grown.iterdir() if path.stat().st_size <= KEPT_BYTES), key=len)
    for data in small[:KEPT_FILES]:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def report(runs: Sequence[Run]) -> int:
    """Print the last lines; the exit status."""
    crashes = [(run, path) for run in runs for path in run.crashes]
    for run, path in crashes:
        print(f"\n{run.name}: repeat with  python -m tests.fuzz --repeat {path.relative_to(TOP)} {run.name}")
        print(run.output[-2_000:])
    print(f"{sum(run.executions for run in runs)} executions of {len(runs)} targets, {len(crashes)} crashes")
    if not crashes:
        shutil.rmtree(FOUND, ignore_errors=True)
    return 1 if crashes else 0


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep small new inputs in the project")
    parser.add_argument("--repeat", type=Path, help="one input, run in the open")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=" ".join(TARGETS))
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {' '.join(sorted(unknown))}")
    if options.repeat is not None:
        print("taken" if total(TARGETS[options.targets[0]], options.repeat.read_bytes()) else "refused")
        return 0
    runs = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for run in pool.map(lambda name: fuzz(name, options.seconds, keep=options.keep), options.targets or TARGETS):
            print(f"{run.name:16} {run.executions:9} executions  {run.covered:5} covered  {run.new:4} new inputs"
                  f"  {len(run.crashes)} crashes", flush=True)  # fmt: skip
            runs.append(run)
    return report(runs)


if __name__ == "__main__":
    sys.exit(main())
