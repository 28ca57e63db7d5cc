"""An SM network on a machine without the library: every way in says what to install, and nothing half-made is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.lab.create import create_lab
from tests.gm import needs_gm

TOP = Path(__file__).resolve().parents[2]
PLAN = """
network = "lab"
rules = { suites = [3] }
[[brokers]]
id = "province"
port = 18832
tls = false
[[offices]]
address = "320000-GO"
class = "province"
brokers = ["province"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a plan, and with a `gmssl_pyx` before the real one that cannot be imported."""
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "gmssl_pyx.py").write_text("raise ImportError\n")
    return tmp_path


def relay(place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command without the library."""
    env = {**os.environ, "PYTHONPATH": f"{place / 'stubs'}:{TOP}", "HOME": str(place)}
    argv = [sys.executable, "-m", "relay", "--json", *words]
    return subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False)


def refusal(ran: "subprocess.CompletedProcess[str]") -> tuple[int, str]:
    """The exit status, and the code, which must come with the line to run."""
    assert "Traceback" not in ran.stderr
    error = json.loads(ran.stderr.splitlines()[-1])
    assert "pip install 'gmssl-pyx" in error["hint"]
    return ran.returncode, error["code"]


@needs_gm
def test_without_the_library_an_sm_network_says_what_to_install(place: Path) -> None:
    assert refusal(relay(place, "lab", "create", "plan.toml", "made")) == (69, "SUITE_MISSING")
    assert not (place / "made").exists()
    assert refusal(relay(place, "demo", "--suite", "gm")) == (69, "SUITE_MISSING")
    home = create_lab(place / "plan.toml", place / "lab").homes["320000-GO"]
    assert refusal(relay(place, "--home", home, "run")) == (69, "SUITE_MISSING")
    found = [json.loads(line) for line in relay(place, "--home", home, "doctor").stdout.splitlines()]
    findings = {one["check"]: one["code"] for line in found for one in line.get("checks", [line]) if "check" in one}
    assert findings["keys"] == "SUITE_MISSING"
    # Everything else works: an ordinary network is made and looked at as ever.
    (place / "plan.toml").write_text(PLAN.replace("[3]", "[1, 2]"))
    made = relay(place, "lab", "create", "plan.toml", "ordinary")
    assert made.returncode == 0
