"""Faults in whom is believed for how long, and in what two who act at once leave behind."""

from typing import Final

from tests.sabotage.fault import Fault, fault

_SUSPENSIONS: Final = "tests/keys/test_suspensions.py"
_REVOKED: Final = "tests/relay/test_revoked_office.py"
_FLAPPING: Final = (
    "tests/sim/test_hostile_neighbours.py"
    "::test_g13_a_neighbour_that_comes_and_goes_as_fast_as_it_can_is_not_followed_for_long"
)
_STATISTICS: Final = "tests/relay/store/test_statistics.py"
_JOURNAL: Final = "tests/relay/console/test_journal.py"

TRUST_FAULTS: Final[tuple[Fault, ...]] = (
    fault("G14", "one signature suspends an office for as long as it likes", "keys/roster/suspensions.py",
          "        require(0 < self.until_us - self.since_us <= SUSPENSION_US,",
          "        require(0 < self.until_us - self.since_us,", _SUSPENSIONS),
    fault("G14", "an office is suspended again as soon as its suspension lapsed", "keys/roster/suspensions.py",
          "if listed.get(one.office_id) != one.since_us)", "if one.office_id not in listed)", _SUSPENSIONS),
    fault("G14", "an office may be suspended anew after a week", "keys/roster/suspensions.py",
          "REST_US: Final = 14 * 24", "REST_US: Final = 7 * 24", _SUSPENSIONS),
    fault("G14", "a list may forget that it suspended an office", "keys/trust/chain.py",
          "    if lost is not None:\n", "    if False:\n", _SUSPENSIONS),
    fault("G14", "our own command goes on with a suspension beyond its 72 hours", "keys/roster/suspensions.py",
          "    if one.until_us > before.since_us + SUSPENSION_US:\n", "    if False:\n", _SUSPENSIONS),
    fault("G14", "a suspended office is believed", "relay/examine.py",
          "    if origin in eyes.suspended:\n", "    if False:\n", _REVOKED),
    fault("G14", "what a revoked office dated before is never doubted", "keys/roster/revocation.py",
          "    return since_us is not None and witnessed_us >= since_us\n", "    return False\n",
          "tests/keys/test_revocation.py"),
    fault("G14", "a revoked office is its own witness", "relay/aftermath.py",
          "    witnessed_us = max(created_us, message.witnessed_us)\n", "    witnessed_us = created_us\n", _REVOKED),
    fault("G14", "the first fifty messages of a revoked office are marked, and no more", "relay/aftermath.py",
          "        return self._close(next_)\n", "        return self._close(None)\n", _REVOKED),
    fault("G14", "a verdict that rests on a later receipt stands without a correction", "relay/aftermath.py",
          "            if lost and not self._is_corrected(event):\n", "            if False:\n", _REVOKED),
    fault("G14", "a mark is taken back when it is set again", "relay/store/inbox.py",
          'flags=number(row["flags"]) | DOUBTED)', 'flags=number(row["flags"]) & ~DOUBTED)', _REVOKED),
    fault("G13", "a neighbour that comes and goes is followed each time", "relay/beacon.py",
          "        if changes < CHANGES_MAX:\n", "        if True:\n", _FLAPPING),
    fault("G16", "how a neighbour was left that came and went is never learned", "relay/beacon.py",
          "        self._follow(office, present=bool(self._online.get(office)))\n", "", _FLAPPING),
    fault("§8", "a day counts what the days before it have counted", "relay/store/statistics.py",
          "        begun = _totals(before[0])[1] if before else _NOTHING\n", "        begun = _NOTHING\n", _STATISTICS),
    fault("§8", "figures of a day go before their time is over", "relay/store/statistics.py",
          "(txn.now_us // DAY_US - days,)", "(txn.now_us // DAY_US + 1 - days,)", _STATISTICS),
    fault("§8", "a counter that began again makes a day negative", "relay/store/statistics.py",
          "after - before if after >= before else after", "after - before", _STATISTICS),
    fault("G14", "two acts of administrators change one home at once", "keys/files/locks.py",
          "    except BlockingIOError:\n        return False\n", "    except BlockingIOError:\n        return True\n",
          "tests/relay/console/test_acting.py"),
    fault("G15", "two administrators who write at once tear the journal's chain", "relay/console/keys/journal.py",
          "        fcntl.flock(file, fcntl.LOCK_EX)\n", "", _JOURNAL),
    fault("G15", "a torn line breaks the journal", "relay/console/keys/journal.py",
          '        whole = data[: data.rfind(b"\\n") + 1]\n', "        whole = data\n", _JOURNAL),
    fault("G15", "what a crash tore is called tampering", "relay/audit/check.py",
          "                if last and self._is_torn(at, line):\n", "                if False:\n",
          "tests/relay/audit/test_edits.py"),
    fault("G1", "two relays share one home", "relay/store/database.py",
          "fcntl.flock(self._handle, fcntl.LOCK_EX |", "fcntl.flock(self._handle, fcntl.LOCK_SH |",
          "tests/relay/store/test_database.py"),
)  # fmt: skip
