"""Mutation testing: small faults in the code, one at a time, each of which some test should notice.

    python -m tests.mutants [--jobs 2] [MODULE ...]     for example protocol/receipt.py; all of PLANS without one

mutmut makes the mutants in a copy of the tree and measures which tests meet which function; `trial` then runs the tests
of each mutant, the fastest first. A mutant that only changes English words of an error is left out. What survives is
either named in survivors.toml with the reason why no test can tell, or it is a hole. Prints one line per module; exit
status 1 for a survivor without a reason, a reason without a survivor, or a score under 90 %.
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

from tests.mutants.trial import SURVIVED, Tasks
from tests.mutants.wording import Change, changes_of

TOP: Final = Path(__file__).resolve().parent.parent.parent
ROOMS: Final = ("protocol", "keys", "config", "relay")
SCORE: Final = 0.9
MEMORY: Final = Path("/dev/shm")
OPTIONS: Final = ["--tb=native", "-p", "no:cacheprovider", "-p", "no:timeout"]


@dataclass(frozen=True)
class Plan:
    """Modules of one room, and the tests that are to notice a fault in them."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


_COPIES: Final = (
    "tests/keys/test_envelope_copies.py", "tests/keys/test_envelope_signatures.py", "tests/keys/test_verify_steps.py",
)  # fmt: skip
_MACHINES: Final = ("clock_guard", "debts", "entry", "life", "outbox", "pace", "parcel", "progress", "queues",
                    "routing", "scheduler", "stream", "timers", "witness")  # fmt: skip
_STATES: Final = ("hop_machine", "outbox", "outbox_rules", "outbox_turns", "progress", "debts", "routing", "scheduler",
                  "gaps", "pace", "clock_guard", "clock_rules", "names", "life", "life_rules", "witness",
                  "timers")  # fmt: skip
_CODECS: Final = ("audit_lines", "boundaries", "names", "codecs", "padding", "presence", "delivery")
_PAGES: Final = ("ballast", "damage", "database", "fsck", "group", "mending", "writer")
_PAGE_TESTS: Final = ("commits", "counted_at_start", "damage", "database", "fsck", "group", "mending", "sealed_table",
                      "store_model", "shares", "writer")  # fmt: skip
_TABLE_TESTS: Final = ("mending", "pieces", "sealed_table", "stopped", "store_model")
_OTHER_TESTS: Final = (*_PAGE_TESTS, *_TABLE_TESTS, "pages", "query_plans", "remains", "resealing", "salvage", "wal")
_CHANGES: Final = ("books", "verdicts", "settlement", "tombstones")
PLANS: Final = (
    Plan(
        tuple(f"protocol/{name}.py" for name in _MACHINES),
        tuple(f"tests/protocol/test_{name}.py" for name in _STATES),
    ),
    Plan(
        ("protocol/approval.py",),
        ("tests/keys/test_approvals.py", "tests/protocol/test_boundaries.py", "tests/protocol/test_codecs.py",
         "tests/test_vectors.py"),
    ),
    Plan(
        ("protocol/*.py",),
        (*(f"tests/protocol/test_{name}.py" for name in _CODECS), "tests/test_vectors.py"),
    ),
    Plan(("keys/verify.py",), (*_COPIES, "tests/test_vectors.py")),
    Plan(("relay/store/resealing.py",), ("tests/relay/store/test_resealing.py",)),
    Plan(("relay/store/stopped.py",), ("tests/relay/store/test_stopped.py",)),
    Plan(("relay/store/pages.py",), ("tests/relay/store/test_pages.py",)),
    Plan(("relay/store/salvage.py",), ("tests/relay/store/test_salvage.py",)),
    Plan(("relay/store/remains.py",), ("tests/relay/store/test_remains.py",)),
    Plan(("relay/store/wal.py",), ("tests/relay/store/test_wal.py",)),
    Plan(("relay/store/sealed_table.py",), tuple(f"tests/relay/store/test_{name}.py" for name in _TABLE_TESTS)),
    Plan(
        tuple(f"relay/store/{name}.py" for name in _PAGES),
        tuple(f"tests/relay/store/test_{name}.py" for name in (*_PAGE_TESTS, "own_prekeys")),
    ),
    Plan(
        ("relay/store/*.py",),
        (
            "tests/relay/store", *(f"--ignore=tests/relay/store/test_{name}.py" for name in _OTHER_TESTS),
            *(f"tests/relay/test_{name}.py" for name in _CHANGES),
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
        "pytest_add_cli_args": OPTIONS,
        "pytest_add_cli_args_test_selection": [*tests, "-m", "not live"],
    }
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8").replace('"--strict-config", ', "")
    project = project.replace("timeout = 120\ntimeout_func_only = true", "")
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (place / "pyproject.toml").write_text(project + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def make_mutants(place: Path) -> dict[str, Change]:
    """Let mutmut make the mutants and measure the tests; what each mutant changes, by its name."""
    # No mutant has this name: mutmut stops before it runs any.
    made = run([sys.executable, "-m", "mutmut", "run", "none.at.all"], place)
    changes: dict[str, Change] = {}
    for meta in sorted((place / "mutants").rglob("*.py.meta")):
        source = meta.with_suffix("")
        name = source.relative_to(place / "mutants").as_posix()
        changes |= changes_of(name, source.read_text(encoding="utf-8"))
    if not changes or not (place / "mutants" / "mutmut-stats.json").exists():
        raise SystemExit(f"mutmut made no mutants:\n{made.stdout[-3000:]}\n{made.stderr[-3000:]}")
    return changes


def try_mutants(place: Path, mutants: list[str], tests: tuple[str, ...], jobs: int) -> dict[str, str]:
    """What `trial` says of each mutant. One that no test meets survives without being tried."""
    stats = json.loads((place / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
    durations, met = stats["duration_by_test"], stats["tests_by_mangled_function_name"]
    tasks: Tasks = {"jobs": jobs, "durations": durations, "mutants": {}}
    for mutant in mutants:
        near = met.get(mutant.rpartition("__mutmut_")[0], [])
        if near:
            tasks["mutants"][mutant] = sorted(near, key=lambda test: (durations.get(test, 0), test))
    book = place / "tasks.json"
    book.write_text(json.dumps(tasks), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "-p", "tests.mutants.trial", *OPTIONS]
    command += [*tests, "-m", "not live"]
    ended = run(command, place / "mutants", TRIAL=str(book), MUTANT_UNDER_TEST="")
    kept = book.with_name("verdicts")
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    verdicts = dict(line.split(" ", 1) for line in lines)
    if verdicts.keys() != tasks["mutants"].keys():
        raise SystemExit(f"the trial did not end:\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")
    return {mutant: verdicts.get(mutant, SURVIVED) for mutant in mutants}


def run(command: list[str], place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run with quick, repeatable Hypothesis tests, whose files are in the place as well."""
    (place / "tmp").mkdir(exist_ok=True)
    environment = {
        **os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(place / "tmp"),
        **variables,
    }  # fmt: skip
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


def tally(plan: Plan, modules: list[str], jobs: int, verbose: bool) -> dict[str, Tally]:
    """Make and try the mutants of some modules of a plan."""
    found = {module: Tally() for module in modules}
    # In memory, where there is such a place: the tests of the store wait for its disk.
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        place = Path(folder)
        copy_tree(place)
        write_settings(place, modules, plan.tests)
        changes = make_mutants(place)
        tried = sorted(name for name, change in changes.items() if not change.is_wording)
        verdicts = try_mutants(place, tried, plan.tests, jobs)
    for name, change in changes.items():
        count = found[module_of(name)]
        if change.is_wording:
            count.wording += 1
        elif verdicts[name] == SURVIVED:
            count.survivors.append(change)
        else:
            count.killed += 1
        if verbose and not change.is_wording:
            print(f"{name} {verdicts[name]}")
    return found


def module_of(mutant: str) -> str:
    """The file of a mutant."""
    return mutant.rpartition(".")[0].replace(".", "/") + ".py"


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
    parser.add_argument("--verbose", action="store_true", help="print what became of each mutant")
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
        for module, count in tally(plan, modules, options.jobs, options.verbose).items():
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
