"""Faults in custody, order and verdicts: the hop machine, intake, the pump, the verdicts."""

from typing import Final

from tests.sabotage.fault import Fault, fault

_STORM: Final = "tests/sim/test_simulator.py::test_g01_to_g16_hold_in_storms"
_SIGNED: Final = "tests/keys/test_envelope_signatures.py"
_SETTLE: Final = "tests/relay/test_settlement.py"
_BEFORE: Final = """            outcome = await ground.store.write(self._lane, settle)
"""

RELAY_FAULTS: Final[tuple[Fault, ...]] = (
    fault(
        "G7", "custody is given before the commit", "relay/intake.py",
        "        try:\n" + _BEFORE,
        "        for one in examined:\n"
        "            for item in one.frame.items:\n"
        "                ground.outbox.debts.owe_custody(one.frame.frame.sender, one.frame.frame.lane, item.digest)\n"
        "        ground.kick()\n"
        "        await asyncio.sleep(0)\n"
        "        try:\n" + _BEFORE,
        _STORM, quick=False,
    ),
    fault(
        "G7", "the receipt leaves before the commit", "relay/intake.py",
        "        try:\n" + _BEFORE,
        "        ground.hold([two.answer for one in examined for two in one.findings if hasattr(two, 'answer')])\n"
        "        ground.kick()\n"
        "        await asyncio.sleep(0.01)\n"
        "        try:\n" + _BEFORE,
        _STORM, quick=False,
    ),
    fault(
        "G1", "the broker's acknowledgement is taken for custody", "relay/pump.py",
        "            if done is False:\n",
        "            if done:\n"
        "                for digest in shipment.digests:\n"
        "                    self._ground.outbox.release(digest)\n"
        "            if done is False:\n",
        _STORM, quick=False,
    ),
    fault("G8", "sending begins without a record of it", "relay/pump.py",
          "        if not first:\n            return True\n",
          "        if first or not first:\n            return True\n",
          "tests/sim/test_endings.py::test_g08_what_was_sealed_without_a_broker_and_sent_since_is_not_called_expired"),
    fault("G2", "no memory of what came before", "relay/settle.py",
          "        known = inbox.digests(self._txn, content.sender, content.id)\n",
          "        known = None\n        self._txn.connection.execute('DELETE FROM inbox')\n"
          "        self._txn.connection.execute('DELETE FROM receipts')\n", _SETTLE),
    fault("G2", "what was received is forgotten too early", "relay/store/retention.py",
          "FORGET_AFTER_US: Final = 2 * MAX_LIFE_US + CLOCK_AHEAD_US", "FORGET_AFTER_US: Final = MAX_LIFE_US",
          "tests/relay/store/test_retention.py"),
    fault("G3", "a known id with other content is taken for the same", "relay/settle.py",
          "            if known[0] != finding.message.digest:", "            if False:", _SETTLE),
    fault("G1", "two relays give each other custody of one copy", "relay/settle.py",
          " or (parcel.digest, sender) in self._offered:", ":", _SETTLE),
    fault("G1", "custody is given of what came back from where it went", "relay/settle.py",
          "        if custodian == sender:\n            return self._nack(parcel.digest, \"LOOP\", examined)\n", "",
          _SETTLE),
    fault("G13", "a full store takes what it cannot keep", "relay/settle.py",
          "        if not shares.admits(self._txn, parcel.lane, parcel.share):\n"
          "            return self._nack(parcel.digest, \"FULL\", examined)\n", "", _SETTLE),
    fault("G13", "one office may take the room of all others", "relay/admission.py",
          "    return of_lane > 0 and (whole < _TIMES_LEFT * of_all or above * _RESERVE_PARTS < reserve)",
          "    return of_lane > 0", "tests/relay/test_admission.py", "tests/relay/test_shares.py"),
    fault("G13", "what comes to the inbox is not counted", "relay/store/migrations/start.sql",
          "    INSERT INTO shares VALUES (NEW.sender, NEW.lane, 1, NEW.size)",
          "    INSERT INTO shares VALUES (NEW.sender, NEW.lane, 1, 0)",
          "tests/relay/store/test_shares.py::test_g13_a_start_counts_what_is_there_and_no_damaged_row_stops_it"),
    fault("G13", "every frame begins with the same origin", "protocol/queues.py",
          "                queues[key] = queues.pop(key)\n", "", "tests/protocol/test_queues.py"),
    fault("G9", "expiry is not judged at the commit", "relay/settle.py",
          "        if content.expires_us <= self._txn.now_us:\n            return False\n", "", _SETTLE),
    fault("G7", "a duplicate gets no receipt again", "relay/settle.py",
          "            self._answer_again(content.sender, content.id)\n", "", _SETTLE),
    fault("G10", "a frame that the broker retained is taken", "relay/intake.py",
          "            if arrived.retained:", "            if False:", "tests/relay/test_intake.py"),
    fault("G7", "`delivered` over another content is believed", "relay/verdicts.py",
          "        elif receipt.by == receipt.recipient and receipt.digest == story.standing.digest:",
          "        elif receipt.by == receipt.recipient:", "tests/relay/test_verdicts.py"),
    fault("G8", "a copy is sealed again for ever", "relay/verdicts.py",
          " or tries >= RESEALS_MAX or", " or", "tests/relay/test_verdicts.py"),
    fault("G8", "`expired` is said on a time-out, although sending began", "protocol/delivery.py",
          "    if not begun:\n        return Due.EXPIRED\n", "    if asked_us is None:\n        return Due.EXPIRED\n",
          "tests/protocol/test_delivery.py"),
    fault("G9", "a clock that jumps is followed at once", "protocol/clock_guard.py",
          "        return abs(self._reading.offset_us - self._reference_us) > self._jump_us", "        return False",
          "tests/protocol/test_clock_guard.py"),
    fault("G9", "a clock may be set back behind a signed time", "protocol/clock_guard.py",
          "        self._offset_us = max(self._offset_us, low_us)\n", "", "tests/protocol/test_clock_guard.py"),
    fault("G12", "a home that was restored or cloned does not notice", "protocol/life.py",
          "        if self._lived(moment, commits):\n            return Finding.OURS",
          "        if self._lived(moment, commits) or signed_us:\n            return Finding.OURS",
          "tests/protocol/test_life.py"),
    fault("G12", "a neighbour is never shown what it forgot", "protocol/witness.py",
          "            return Noted(record, now.epoch != before.epoch)\n", "            return Noted()\n",
          "tests/protocol/test_life.py", "tests/sim/test_restores.py"),
    fault("G15", "the chain of the audit log is not followed", "relay/audit/check.py",
          "        if before is not None:\n            self._compare(", "        if False:\n            self._compare(",
          "tests/relay/audit/test_edits.py"),
    fault("G15", "anybody may say that the retention of a log's beginning ended", "relay/audit/check.py",
          "        if head is not None:\n            self.purged", "        if self.purged:\n            self.purged",
          "tests/relay/audit/test_log.py"),
    fault("G15", "a log that was cut off is whole", "relay/audit/check.py",
          "            elif anchor.mark.count > last:", "            elif False:", "tests/relay/audit/test_edits.py"),
    fault("G15", "anybody may sign the head of an audit log", "keys/signing.py",
          "        if not _is_signature(self", "        if purpose != AUDIT and not _is_signature(self",
          "tests/relay/audit", _SIGNED),
    fault("G8", "a second verdict replaces the first", "protocol/delivery.py",
          "    State.EXPIRED: (),", "    State.EXPIRED: (State.DELIVERED,),", "tests/protocol/test_delivery.py"),
    fault("G5", "one order for all lanes: first come, first served", "protocol/scheduler.py",
          "        highest = min(waiting)\n", "        highest = max(waiting)\n", "tests/protocol/test_scheduler.py"),
    fault("G6", "lower lanes wait for ever", "protocol/scheduler.py",
          "        share = bool(owed) and not self._last_was_share\n", "        share = False\n",
          "tests/protocol/test_scheduler.py"),
    fault("G5", "one lane for all on the wire", "protocol/lanes.py",
          '        return "fast" if self <= Lane.URGENT else "slow"', '        return "slow"',
          "tests/protocol/test_outbox.py"),
    fault("G1", "a nack ends a parcel", "protocol/outbox.py",
          "            entry.avoid |= {by}\n        self._put_back(entry, now_us)\n",
          "            entry.avoid |= {by}\n        self.release(digest)\n", "tests/protocol/test_outbox.py"),
    fault("G1", "custody ends our own copy before there is a verdict", "protocol/outbox.py",
          "        if not entry.parcel.kept_after_custody:", "        if True:", "tests/protocol/test_outbox.py"),
    fault("G7", "custody counts of whomever was never asked", "relay/intake.py",
          "                parcel = outbox.awaited(digest, sender)", "                parcel = outbox.get(digest)",
          "tests/sim/test_hostile_neighbours.py", quick=False),
    fault("G16", "custody that is said again prolongs a patience", "protocol/outbox.py",
          "        if by not in entry.asked:", "        if False:", "tests/protocol/test_outbox_rules.py"),
    fault("G16", "a custodian that keeps silent is trusted for ever", "protocol/outbox.py",
          "            elif entry.stage is Stage.KEPT or self._out_of_patience(entry, now_us):",
          "            elif entry.stage is not Stage.KEPT and self._out_of_patience(entry, now_us):",
          "tests/protocol/test_outbox.py"),
    fault("G16", "what a clerk said is not sent again when a custodian swallowed it", "relay/repeating.py",
          "inbox.unheard_receipts(txn, now_us, BATCH)", "inbox.unheard_receipts(txn, 0, BATCH)",
          "tests/sim/test_receipts.py"),
    fault("G16", "nobody says that a sealed receipt came", "relay/settle.py",
          "            self._hold += [heard] if self._txn.space.admits(heard.parcel.lane) else []\n",
          "            self._hold += []\n", "tests/sim/test_receipts.py"),
    fault("G16", "whoever is slow is sent everything again", "protocol/progress.py",
          "        if quiet_us > now_us:\n", "        if False:\n", "tests/protocol/test_progress.py"),
    fault("G16", "a window that was lost is sent again one by one", "protocol/progress.py",
          "        if sent_us >= self.answered_us:\n            self._probed_us = now_us\n",
          "        self._probed_us = now_us\n", "tests/protocol/test_progress.py"),
    fault("G8", "who used an id twice waits for a verdict in vain", "relay/verdicts.py",
          " and story.state in OPEN_TO_REFUSAL:", " and False:", "tests/relay/test_verdicts.py"),
    fault("G1", "a copy goes back along its own trail", "protocol/routing.py",
          " if office not in question.trail and office != question.me]", " if office != question.me]",
          "tests/protocol/test_routing.py"),
    fault("G13", "every duplicate frame is verified and answered anew, without a window", "protocol/outbox.py",
          "        window = self._timing.window_items if hop in self._present else 1\n", "        window = 1 << 30\n",
          "tests/protocol/test_outbox.py"),
)  # fmt: skip
