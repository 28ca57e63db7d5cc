"""Memory that holds keys stays in memory: no core file, no look by others, no swap (G11)."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.memory import PR_SET_DUMPABLE, leave_no_core
from tests.live.network import COUNTY, ROOT, Network, network, plan_text, province_city_counties, until
from tests.root import needs_root

pytestmark = pytest.mark.live
NOBODY = 65534


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as found:
        yield found


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[Path]:
    """A folder where this machine would put core files of its children."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if os.geteuid() == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    elif before[1] == 0 and not os.environ.get("CI"):
        pytest.skip("core files are forbidden here, which only root may change")
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    folder = tmp_path / "cores"
    folder.mkdir()
    yield folder
    resource.setrlimit(resource.RLIMIT_CORE, before)


def aborted(argv: list[str], folder: Path) -> bool:
    """Whether a program that has said READY leaves a core when it is ended by SIGABRT."""
    said = folder / "out"
    with said.open("wb") as out:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(argv, cwd=folder, env=environment, stdout=out, stderr=out)
    until(lambda: b"READY" in said.read_bytes())
    child.send_signal(signal.SIGABRT)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = -os.WTERMSIG(status)
    assert child.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


def test_g11_a_daemon_that_dies_leaves_no_core_where_another_program_does(lab: Network, cores: Path) -> None:
    plain = [sys.executable, "-c", "import time; print('READY', flush=True); time.sleep(60)"]
    assert aborted(plain, cores), "this machine makes no core files: nothing is shown by none"
    for path in cores.iterdir():
        path.unlink()
    assert not aborted([sys.executable, "-m", "relay", "--home", str(lab.home(COUNTY)), "run"], cores)
    assert [path.name for path in cores.iterdir()] == ["out"]


@needs_root
@pytest.mark.parametrize("guarded", [False, True])
def test_g11_no_other_process_of_the_same_user_reads_the_memory(guarded: bool) -> None:
    reader = os.fork()
    if reader == 0:
        os._exit(_read_child(guarded))
    _, status = os.waitpid(reader, 0)
    assert os.waitstatus_to_exitcode(status) == (13 if guarded else 0)


def _read_child(guarded: bool) -> int:
    """As an ordinary user: 0 when the memory of a child can be read, 13 (EACCES) when it cannot."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        # A change of user takes this away; a program that was started by one has it.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        if guarded:
            leave_no_core()
        os.write(tell, b".")
        signal.pause()
    os.read(told, 1)
    try:
        with Path(f"/proc/{holder}/mem").open("rb"):
            return 0
    except PermissionError as error:
        return error.errno or 1
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def test_g11_a_daemon_is_locked_in_memory_or_its_doctor_says_that_it_is_not(lab: Network) -> None:
    lab.start(COUNTY)
    child = lab.offices[COUNTY].child
    assert child is not None
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    status = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value
    }
    (finding,) = [one for one in _doctor(lab) if one["check"] == "memory"]
    if status["VmLck"]:
        # What is locked as it is touched takes no more memory than before (limit of the project: 200 MiB).
        assert status["VmRSS"] < 200 * 1024
        assert (finding["result"], finding["code"]) == ("PASS", "MEMORY_OK")
    else:
        assert (finding["result"], finding["code"], finding["detail"]) == ("WARN", "MEMORY_OPEN", "swap")
        assert "memory_not_locked" in lab.log(COUNTY)


def _doctor(lab: Network) -> list[dict[str, str]]:
    return [json.loads(line) for line in lab.relay(COUNTY, "doctor").out.splitlines()]
