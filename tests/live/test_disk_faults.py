"""Disks that fail, fill up or turn read-only under a running relay (G1, G13): it stops or refuses and loses nothing."""

import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.console.failure import Failure
from tests.live.faulty import failing_calls, fill, open_files, small_disk, tool
from tests.live.network import COUNTY, PROVINCE, Network, network, plan_text, province_city_counties, until
from tests.root import needs_root

pytestmark = [pytest.mark.live, needs_root]

EXIT_STORE_FAILED, BAD_STORE = 71, 78
BODY = "水位上涨,已组织巡查。" * 100
FLASH = {"kind": "incident_first", "event_level": "I", "urgency": "flash"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    """One county whose brokers are away: whatever it accepts lies on its own disk only."""
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices) + "[settings.store]\nballast_bytes = 1048576\n") as found:
        yield found


def pid_of(lab: Network) -> int:
    child = lab.offices[COUNTY].child
    assert child is not None
    return child.pid


def send_until_refused(lab: Network, most: int = 2_000, **more: str) -> tuple[list[str], Failure]:
    """Ids that were answered accepted, and what came instead of the next answer."""
    accepted: list[str] = []
    for number in range(most):
        try:
            accepted.append(lab.send(COUNTY, PROVINCE, f"报告{number}", BODY, **more))
        except Failure as failure:
            return accepted, failure
    raise AssertionError(f"{most} messages were accepted")


def files_of(lab: Network) -> list[Path]:
    """The files in which everything accepted lies."""
    return [lab.home(COUNTY) / "store" / name for name in ("relay.db", "relay.db-wal")]


def known(lab: Network) -> set[str]:
    return {each["id"] for each in lab.relay(COUNTY, "sent", "list", "--limit", "100000").many()}


def ended(lab: Network) -> int:
    """The exit status of a daemon that ends by itself."""
    child = lab.offices[COUNTY].child
    assert child is not None
    status = child.wait(15)
    lab.offices[COUNTY].child = None
    return status


@pytest.mark.parametrize(("call", "when"), [("fdatasync", 3), ("fdatasync", 12), ("pwrite64", 70)])
def test_g01_after_an_input_output_error_the_store_is_not_touched_and_nothing_answered_is_lost(
    lab: Network, tmp_path: Path, call: str, when: int
) -> None:
    lab.start(COUNTY)
    before = [lab.send(COUNTY, PROVINCE, "之前", BODY)]
    touching = "fsync,fdatasync,pwrite64,ftruncate,unlink,rename"
    inject = f"{call}:error=EIO:when={when}"
    with failing_calls(pid_of(lab), touching, inject, tmp_path / "trace", files_of(lab)) as trace:
        accepted, failure = send_until_refused(lab)
        assert failure.code in ("OUTCOME_UNKNOWN", "DAEMON_DOWN")
        assert ended(lab) == EXIT_STORE_FAILED
    calls = trace.calls()
    failed = next(place for place, (_, injected) in enumerate(calls) if injected)
    assert calls[failed][0] == call
    # Not even an fsync: the kernel would say that all is well.
    assert calls[failed + 1 :] == []
    assert (lab.home(COUNTY) / "store" / "relay.db-wal").exists()
    assert "Traceback" not in lab.log(COUNTY)
    lab.start(COUNTY)
    assert {*before, *accepted} <= known(lab)
    assert lab.relay(COUNTY, "fsck").one()["ok"] is True


def test_g01_an_error_while_starting_is_an_exit_status_and_no_traceback(lab: Network, tmp_path: Path) -> None:
    lab.start(COUNTY)
    accepted = [lab.send(COUNTY, PROVINCE, "之前", BODY)]
    lab.kill(COUNTY)
    process = lab.offices[COUNTY]
    plain = process.argv
    # The first is the sync of the folder, the others are those of the WAL: what recovery and the first commit write.
    for call, when in (("fsync", 1), ("fdatasync", 1), ("fdatasync", 3)):
        what = ["-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={when}"]
        process.argv = [tool("strace"), "-D", "-f", "-qq", "-o", str(tmp_path / "trace"), *what, *plain]
        process.start()
        assert ended(lab) == (BAD_STORE if call == "fsync" else EXIT_STORE_FAILED)
        assert "INJECTED" in (tmp_path / "trace").read_text()
        process.argv = plain
    assert "Traceback" not in lab.log(COUNTY)
    assert "INTERNAL" not in lab.log(COUNTY)
    lab.start(COUNTY)
    assert set(accepted) <= known(lab)


def test_g13_no_room_for_a_moment_is_a_refusal_and_the_daemon_goes_on(lab: Network, tmp_path: Path) -> None:
    lab.start(COUNTY)
    with failing_calls(
        pid_of(lab), "pwrite64", "pwrite64:error=ENOSPC:when=40..300", tmp_path / "trace", files_of(lab)
    ):
        accepted, failure = send_until_refused(lab)
        assert failure.code == "STORE_FULL"
        assert failure.exit == 75
    until(lambda: bool(accepted.append(lab.send(COUNTY, PROVINCE, "之后", BODY)) or True), 5)
    lab.kill(COUNTY)
    lab.start(COUNTY)
    assert set(accepted) <= known(lab)


def test_g13_a_full_disk_refuses_routine_first_then_flash_and_accepts_again_after_space_is_freed(
    lab: Network,
) -> None:
    store = lab.home(COUNTY) / "store"
    with small_disk(store, 24 * 2**20):
        lab.start(COUNTY)
        try:
            accepted = [lab.send(COUNTY, PROVINCE, "之前", BODY)]
            filler = fill(store, 1024 * 1024)
            more, failure = send_until_refused(lab)
            assert (failure.code, failure.exit) == ("STORE_FULL", 75)
            urgent, failure = send_until_refused(lab, urgency="urgent")
            assert failure.code == "STORE_FULL"
            flash, failure = send_until_refused(lab, **FLASH)
            assert failure.code == "STORE_FULL"
            # Flash lives on the ballast, which nobody else may touch.
            assert len(flash) > 50
            assert lab.status(COUNTY)["store"]["state"] == "full"
            accepted += [*more, *urgent, *flash]
            lab.kill(COUNTY)
            lab.start(COUNTY)
            assert set(accepted) <= known(lab)
            filler.unlink()
            freed_s = time.monotonic()
            until(lambda: lab.status(COUNTY)["store"]["state"] == "ok", 30)
            accepted.append(lab.send(COUNTY, PROVINCE, "之后", BODY))
            assert time.monotonic() - freed_s < 30
            until((store / "ballast").exists, 30)
            assert set(accepted) <= known(lab)
            assert lab.relay(COUNTY, "fsck").one()["ok"] is True
            assert "Traceback" not in lab.log(COUNTY)
        finally:
            lab.down()


def test_g01_a_disk_that_turned_read_only_is_a_clear_error_and_nothing_is_lost(lab: Network, tmp_path: Path) -> None:
    image, place = tmp_path / "image", lab.home(COUNTY) / "store"
    with image.open("wb") as out:
        out.truncate(48 * 2**20)
    subprocess.run([tool("mkfs.ext4"), "-q", str(image)], check=True)
    place.mkdir(exist_ok=True)
    subprocess.run([tool("mount"), "-o", "loop", str(image), str(place)], check=True)
    try:
        lab.start(COUNTY)
        accepted = [lab.send(COUNTY, PROVINCE, "之前", BODY) for _ in range(5)]
        # What the kernel does itself with `errors=remount-ro`.
        subprocess.run([tool("mount"), "-o", "remount,abort", str(place)], check=False, capture_output=True)
        more, failure = send_until_refused(lab)
        assert failure.code in ("OUTCOME_UNKNOWN", "DAEMON_DOWN")
        assert ended(lab) == EXIT_STORE_FAILED
        said = lab.command("run", "--json", home=COUNTY)
        assert (said.exit, said.error()["code"]) == (BAD_STORE, "BAD_STORE"), said
        assert "Traceback" not in lab.log(COUNTY) + said.err
        subprocess.run([tool("umount"), str(place)], check=True)
        subprocess.run([tool("mount"), "-o", "loop", str(image), str(place)], check=True)
        lab.start(COUNTY)
        assert {*accepted, *more} <= known(lab)
    finally:
        lab.down()
        subprocess.run([tool("umount"), "-l", str(place)], check=True)


def test_g13_without_descriptors_nothing_is_lost_and_service_returns_by_itself(lab: Network) -> None:
    lab.start(COUNTY)
    accepted = [lab.send(COUNTY, PROVINCE, "之前", BODY)]
    pid = pid_of(lab)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    late: list[str] = []
    waiting = threading.Thread(target=lambda: late.append(lab.send(COUNTY, PROVINCE, "无号可用", BODY)))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 1, limits[1]))
    with lab.daemon(COUNTY) as last:
        # This connection may have the last descriptor; the next client is then served when there is one again.
        last.read("/livez")
        waiting.start()
        waiting.join(2)
        assert lab.offices[COUNTY].running
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        waiting.join(20)
    # Neither lost nor refused for a reason that is none of the client's.
    assert len(late) == 1
    accepted += late
    until(lambda: lab.relay(COUNTY, "status").exit == 0, 30, 0.5)
    accepted.append(lab.send(COUNTY, PROVINCE, "之后", BODY))
    assert set(accepted) <= known(lab)


def test_g01_a_file_size_limit_stops_the_daemon_and_loses_nothing(lab: Network) -> None:
    lab.start(COUNTY)
    accepted = [lab.send(COUNTY, PROVINCE, "之前", BODY)]
    pid = pid_of(lab)
    wal = lab.home(COUNTY) / "store" / "relay.db-wal"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal.stat().st_size + 256 * 1024, resource.RLIM_INFINITY))
    more, failure = send_until_refused(lab)
    assert failure.code in ("OUTCOME_UNKNOWN", "DAEMON_DOWN")
    assert ended(lab) == EXIT_STORE_FAILED
    lab.start(COUNTY)
    assert {*accepted, *more} <= known(lab)
