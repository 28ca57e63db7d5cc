"""Mutation testing: small faults in the code, one at a time, each of which some test should notice.

    python -m tests.mutants [--jobs 2] [MODULE ...]     for example protocol/receipt.py; all of PLANS without one

mutmut makes and runs the mutants in a copy of the tree. A mutant that only changes English words of an error is left
out. What survives is either named in survivors.toml with the reason why no test can tell, or it is a hole. Prints one
line per module; exit status 1 for a survivor without a reason, a reason without a survivor, or a score under 90 %.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.mutants.wording import Change, changes_of

TOP: Final = Path(__file__).resolve().parent.parent.parent
ROOMS: Final = ("protocol", "keys", "config", "relay")
SCORE: Final = 0.9
SKIPPED: Final = 34
SURVIVED: Final = frozenset({0, 5, 33})
"""Exit codes of mutmut: every test passed, or no test came near."""


@dataclass(frozen=True)
class Plan:
    """Modules of one room, and the tests that are to notice a fault in them."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


_COPIES: Final = (
    "tests/keys/test_envelope_copies.py", "tests/keys/test_envelope_signatures.py", "tests/keys/test_verify_steps.py",
)  # fmt: skip
_MACHINES: Final = ("clock_guard", "debts", "life", "outbox", "pace", "parcel", "queues", "routing", "scheduler",
                    "stream", "timers", "witness")  # fmt: skip
_STATES: Final = ("hop_machine", "outbox", "outbox_rules", "outbox_turns", "debts", "routing", "scheduler", "gaps",
                  "pace", "clock_guard", "clock_rules", "names", "life", "life_rules", "witness", "timers")  # fmt: skip
_CODECS: Final = ("audit_lines", "boundaries", "names", "codecs", "padding", "presence", "delivery")
PLANS: Final = (
    Plan(
        tuple(f"protocol/{name}.py" for name in _MACHINES),
        tuple(f"tests/protocol/test_{name}.py" for name in _STATES),
    ),
    Plan(
        ("protocol/*.py",),
        (*(f"tests/protocol/test_{name}.py" for name in _CODECS), "tests/test_vectors.py"),
    ),
    Plan(("keys/verify.py",), (*_COPIES, "tests/test_vectors.py")),
    Plan(
        ("relay/store/*.py",),
        (
            "tests/relay/store", "tests/relay/test_books.py", "tests/relay/test_verdicts.py",
            "tests/relay/test_settlement.py", "tests/relay/test_tombstones.py",
        ),
    ),
)  # fmt: skip
"""A module belongs to the first plan that names it."""


@dataclass
class Tally:
    """The mutants of one module."""

    killed: int = 0
    wording: int = 0
    survivors: list[Change] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Killed, of all that could be noticed."""
        return self.killed / max(1, self.killed + len(self.survivors))


def copy_tree(place: Path) -> None:
    """The project as it lies here, without what git ignores."""
    listed = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (TOP / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, place / name)


def write_settings(place: Path, modules: list[str], tests: tuple[str, ...]) -> None:
    """What mutmut reads: which files to change, and the tests to run."""
    room = modules[0].split("/")[0]
    settings = {
        "source_paths": [room],
        "only_mutate": modules,
        "also_copy": [other for other in (*ROOMS, "docs", "systemd", "scripts") if other != room],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:timeout"],
        "pytest_add_cli_args_test_selection": [*tests, "-m", "not live"],
        "timeout_multiplier": 5.0,
        "timeout_constant": 2.0,
    }
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8").replace('"--strict-config", ', "")
    project = project.replace("timeout = 120\ntimeout_func_only = true", "")
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (place / "pyproject.toml").write_text(project + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def run_mutmut(place: Path, jobs: int, *names: str) -> subprocess.CompletedProcess[str]:
    """One run of mutmut with quick, repeatable Hypothesis tests."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def tally(plan: Plan, modules: list[str], jobs: int, show: bool) -> dict[str, Tally]:
    """Make and run the mutants of some modules of a plan."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        place = Path(folder)
        copy_tree(place)
        write_settings(place, modules, plan.tests)
        # The first run only makes the mutants and measures the tests: no mutant has this name.
        first = run_mutmut(place, jobs, "none.at.all")
        metas = sorted((place / "mutants").rglob("*.py.meta"))
        if not metas:
            raise SystemExit(f"mutmut made no mutants:\n{first.stdout[-3000:]}\n{first.stderr[-3000:]}")
        changes: dict[str, Change] = {}
        for meta in metas:
            made = meta.with_suffix("")
            name = made.relative_to(place / "mutants").as_posix()
            changes |= changes_of(name, made.read_text(encoding="utf-8"))
            book = json.loads(meta.read_text(encoding="utf-8"))
            for mutant in book["exit_code_by_key"]:
                if changes[mutant].is_wording:
                    book["exit_code_by_key"][mutant] = SKIPPED
            meta.write_text(json.dumps(book), encoding="utf-8")
        last = run_mutmut(place, jobs)
        if show:
            print(last.stdout[-400:])
        found: dict[str, Tally] = {}
        for meta in metas:
            codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
            if None in codes.values():
                raise SystemExit(f"mutmut did not finish:\n{last.stdout[-3000:]}\n{last.stderr[-3000:]}")
            count = found[meta.with_suffix("").relative_to(place / "mutants").as_posix()] = Tally()
            for mutant, code in codes.items():
                if code == SKIPPED:
                    count.wording += 1
                elif code in SURVIVED:
                    count.survivors.append(changes[mutant])
                else:
                    count.killed += 1
        return found


def modules_of(plan: Plan, wanted: list[str]) -> list[str]:
    """The files of a plan, or those of them that are wanted."""
    found = sorted(path.relative_to(TOP).as_posix() for pattern in plan.modules for path in TOP.glob(pattern))
    earlier = {name for before in PLANS[: PLANS.index(plan)] for name in before.modules}
    found = [name for name in found if not name.endswith("__init__.py") and name not in earlier]
    return [name for name in found if not wanted or name in wanted]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="tests.mutants")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print the tail of what mutmut says")
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    listed = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text(encoding="utf-8")).get("survivor", [])
    reasons = {(entry["module"], entry["function"], entry["old"], entry["new"]): entry["why"] for entry in listed}
    holes, used, low = 0, set(), []
    for plan in PLANS:
        modules = modules_of(plan, options.modules)
        if not modules:
            continue
        began = time.monotonic()
        for module, count in tally(plan, modules, options.jobs, options.show).items():
            unexplained = [change for change in count.survivors if change.key(module) not in reasons]
            used |= {change.key(module) for change in count.survivors}
            holes += len(unexplained)
            total = count.killed + len(count.survivors)
            print(
                f"{module:32} {total:5} mutants  {count.killed:5} killed  {len(count.survivors):4} survived"
                f"  ({len(count.survivors) - len(unexplained)} explained)  {100 * count.score:5.1f} %", flush=True,
            )  # fmt: skip
            low += [module] if total and count.score < SCORE else []
            for change in unexplained:
                print(f"    {change.function}\n        - {change.old}\n        + {change.new}", flush=True)
        print(f"    {time.monotonic() - began:.0f} s", flush=True)
    looked_at = {module for plan in PLANS for module in modules_of(plan, options.modules)}
    stale = [key for key in reasons if key not in used and key[0] in looked_at]
    for key in stale:
        print(f"survivors.toml explains what does not survive: {key}")
    print(f"{holes} survivors without a reason, {len(stale)} reasons without a survivor, under 90 %: {low or 'none'}")
    return 1 if holes or stale or low else 0


if __name__ == "__main__":
    sys.exit(main())
