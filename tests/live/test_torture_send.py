"""`relay send` has three outcomes, and run again with its id it ends, and counts once, whatever died (G1, G2)."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.console.failure import Failure
from tests.live.network import COUNTY, PROVINCE, new_id
from tests.torture.ledger import Ledger, Sending
from tests.torture.stage import OFFICES, Stage, stage
from tests.torture.tracer import killer, threads_of

BODY = "水位上涨,已组织巡查。"
POINTS = (
    *(("main", call, number) for call in ("accept4", "recvfrom", "sendto") for number in (1, 2, 3)),
    *(("other", "pwrite64", number) for number in (1, 2, 3, 5, 8, 13, 21)),
    *(("other", "fdatasync", number) for number in (1, 2)),
    ("other", "sendto", 1),
)
"""Calls of the daemon on the way from a request to its answer: the connection, the commit, the answer."""
CLIENT_LIVES_S = [0.02 * 1.35**step for step in range(12)]


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as one:
        one.up()
        yield one


def arguments(sending: Sending) -> tuple[str, ...]:
    return ("send", "--to", sending.to, "--title", "报告", "--body", "-", "--id", sending.id)


def send(found: Stage, ledger: Ledger, sending: Sending) -> str:
    """One `relay send`; the outcome."""
    said = found.lab.relay(sending.office, *arguments(sending), stdin=sending.body.encode())
    return ledger.record(sending, said.exit, json.loads(said.out) if said.exit == 0 else said.error())


def knows(found: Stage, sending: Sending) -> bool:
    """Whether the sender's relay has the message in its store."""
    try:
        found.lab.track(sending.office, sending.id)
    except Failure as failure:
        if failure.code != "NOT_FOUND":
            raise
        return False
    return True


def finish(found: Stage, ledger: Ledger) -> None:
    for office in OFFICES:
        found.wait_ready(office)
    ledger.settle(found)
    assert ledger.judge(found, found.lab.folder) == []


@pytest.mark.skipif(
    not os.environ.get("CI") and (os.geteuid() != 0 or shutil.which("strace") is None), reason="needs root and strace"
)
@pytest.mark.timeout(240)
def test_g01_g02_a_send_under_which_the_relay_dies_says_what_is_known_and_is_run_again(found: Stage) -> None:
    ledger, outcomes = Ledger(), Counter[tuple[str, bool]]()
    for thread, call, number in POINTS:
        found.wait_connected(COUNTY)
        main, others = threads_of(found.running(COUNTY).pid)
        tracer = killer(main if thread == "main" else others, call, number, follow=False)
        sending = Sending(new_id(), COUNTY, PROVINCE, f"{thread}/{call}/{number} {BODY}")
        outcome = send(found, ledger, sending)
        found.kill(COUNTY)
        tracer.detach()
        if outcome != "accepted":
            assert send(found, ledger, sending) == "down", "without a relay nothing is sent"
        found.start(COUNTY)
        found.wait_ready(COUNTY)
        stored = knows(found, sending)
        outcomes[outcome, stored] += 1
        assert (outcome, stored) not in {("accepted", False), ("down", True)}, sending
        assert send(found, ledger, sending) == "accepted"
        assert knows(found, sending)
    print(outcomes)
    # All that can happen has happened: accepted, unknown and stored, unknown and not stored.
    assert {("accepted", True), ("unknown", True), ("unknown", False)} <= set(outcomes)
    finish(found, ledger)


@pytest.mark.timeout(120)
def test_g01_g02_a_send_that_was_killed_itself_is_run_again_and_counts_once(found: Stage) -> None:
    ledger, stored = Ledger(), Counter[bool]()
    for life_s in CLIENT_LIVES_S:
        sending = Sending(new_id(), COUNTY, PROVINCE, f"{life_s:g} {BODY}")
        client = subprocess.Popen(
            [*found.lab.offices[COUNTY].argv[:-1], *arguments(sending)],
            cwd=found.lab.folder,
            env=dict(found.lab.offices[COUNTY].environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert client.stdin is not None
        client.stdin.write(sending.body.encode())
        client.stdin.close()
        time.sleep(life_s)
        client.kill()
        client.wait(10)
        sending.outcomes.append("unknown")
        stored[knows(found, sending)] += 1
        assert send(found, ledger, sending) == "accepted"
    print(stored)
    finish(found, ledger)
