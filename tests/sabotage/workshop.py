"""A copy of the tree in which one fault at a time is put, its tests are run, and the file is put back."""

import compileall
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from tests.sabotage.fault import Fault

TOP: Final = Path(__file__).resolve().parent.parent.parent
LONGEST_S: Final = 600
FAILED: Final = 1
"""pytest: tests ran, and some failed. Any other status than 0 means that they could not run."""


class OutOfDate(Exception):
    """A fault no longer fits the code, or broke it so that no test could run."""


@dataclass(frozen=True)
class Trial:
    """What became of one fault: the test that noticed, or None."""

    fault: Fault
    caught_by: str | None
    seconds: float


def copy_tree(place: Path) -> None:
    """The project as it lies here, without what git ignores; compiled so that a changed file is always noticed."""
    listed = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-coz", "--exclude-standard"], capture_output=True, text=True, check=False
    )
    names = [name for name in listed.stdout.split("\0") if name]
    if not names:
        folders = ("protocol", "keys", "config", "relay", "tests", "docs", "systemd", "requirements", "scripts")
        found = [path for folder in folders for path in (TOP / folder).rglob("*")] + list(TOP.glob("*.*"))
        names = [path.relative_to(TOP).as_posix() for path in found if "__pycache__" not in path.parts]
    for name in names:
        if (TOP / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / name, place / name)
    # By hash: two faults in one file within a second, of one length, must not share what was compiled.
    compileall.compile_dir(place, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


class Workshop:
    """One copy; one fault at a time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        copy_tree(place)

    def pytest(self, tests: Sequence[str]) -> tuple[int, str]:
        """(exit status, output) of tests run on the copy, the first failure ending them."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.place),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_PROFILE": "mutants",
            "SIM_SEEDS": os.environ.get("SIM_SEEDS", "60"),
        }
        options = ("-x", "-q", "--tb=line", "-p", "no:cacheprovider", f"--timeout={LONGEST_S}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.place, env=environment, capture_output=True, text=True, check=False, timeout=2 * LONGEST_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def check_clean(self, tests: Sequence[str]) -> float:
        """Seconds that these tests take without any fault; raises `OutOfDate` when one fails all the same."""
        began = time.monotonic()
        status, output = self.pytest(tests)
        if status != 0:
            raise OutOfDate(f"the tests fail without any fault:\n{output[-3000:]}")
        return time.monotonic() - began

    def try_out(self, fault: Fault) -> Trial:
        """Put the fault in, run its tests until one notices, and put the files back. Raises `OutOfDate`."""
        before = {edit.file: (self.place / edit.file).read_text(encoding="utf-8") for edit in fault.edits}
        began = time.monotonic()
        try:
            for edit in fault.edits:
                path = self.place / edit.file
                text = path.read_text(encoding="utf-8")
                if text.count(edit.old) != 1:
                    raise OutOfDate(f"{fault.name}: {edit.file} has {text.count(edit.old)} times:\n{edit.old}")
                path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
            for tests in fault.tests:
                status, output = self.pytest(tests.split())
                if status == FAILED:
                    return Trial(fault, _first_failure(output), time.monotonic() - began)
                if status != 0:
                    raise OutOfDate(f"{fault.name}: {tests} could not run:\n{output[-3000:]}")
            return Trial(fault, None, time.monotonic() - began)
        finally:
            for file, text in before.items():
                (self.place / file).write_text(text, encoding="utf-8")


def _first_failure(output: str) -> str:
    """The short name of the test that failed first."""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return "?" if found is None else found.group(1).removeprefix("tests/")
