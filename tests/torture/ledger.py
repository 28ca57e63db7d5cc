"""What was promised and what was seen, from outside; at the end the two must agree (G1, G2, G3, G7, G8, G15).

A sender's answers have three outcomes: accepted, not accepted (nothing was sent, or try later), unknown. What was
accepted must arrive; what is unknown may have been accepted, and then must arrive, too; nothing else may be seen.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.console.client import Daemon
from relay.console.failure import Failure
from relay.evidence import verify_file
from tests.live.network import until
from tests.torture.stage import OFFICES, Stage

DONE = frozenset({"delivered", "opened", "signed_for"})
"""Final states of messages that lived long enough: nobody refuses here."""
DEAD = frozenset({"expired", "unconfirmed"})
"""How a message with a short life may end, too; `unconfirmed` only if no answer came within the grace."""
QUIET_S = 90
"""Within what time everything must have come to its end when nobody kills any more (G16)."""
EVIDENCE = 5
"""How many messages' evidence is verified at each end."""


@dataclass(slots=True)
class Sending:
    """One message as its sender's program knows it. `life` is a short `expires_in`: it may end without arriving."""

    id: str
    office: str
    to: str
    body: str
    life: str = ""
    cancelled: bool = False
    outcomes: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        return "accepted" in self.outcomes

    @property
    def unknown(self) -> bool:
        return not self.accepted and "unknown" in self.outcomes


class Ledger:
    """The record of one stage; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sendings: dict[str, Sending] = {}
        self.new: Counter[str] = Counter()
        self.seen: dict[str, tuple[str, str]] = {}
        self.received: dict[str, str] = {}
        self.ends: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.at_acceptance: Callable[[str], None] = lambda office: None
        self._left: dict[str, set[str]] = {office: set() for office in OFFICES}

    def send(self, api: Daemon, sending: Sending) -> str:
        """Try to send once; the outcome. The same id again and again is what a program does that got no answer."""
        with self._lock:
            self.sendings[sending.id] = sending
        draft = {"id": sending.id, "to": sending.to, "title": f"报告{sending.id[:8]}", "body": sending.body}
        if sending.life:
            draft["expires_in"] = sending.life
        try:
            answer = api.change("/v1/messages", draft, key=sending.id).one()
        except Failure as failure:
            return self.record(sending, failure.exit, {"failure": str(failure)})
        return self.record(sending, 0, answer)

    def record(self, sending: Sending, status: int, answer: Mapping[str, Any]) -> str:
        """Keep what a try to send ended with: its exit status (CONTRACT section 2) and its answer. The outcome."""
        outcome = {0: "accepted", 69: "down", 74: "unknown", 75: "later"}.get(status, "refused")
        if outcome == "refused":
            self.fault(f"{sending.id}: send ended with {status}: {answer}")
        if outcome == "accepted":
            self.at_acceptance(sending.office)
            self._check_acceptance(sending, answer)
        with self._lock:
            self.sendings[sending.id] = sending
            sending.outcomes.append(outcome)
            self.outcomes[outcome] += 1
        return outcome

    def _check_acceptance(self, sending: Sending, answer: Mapping[str, Any]) -> None:
        """`repeated` tells the truth: only what was accepted before, or may have been, was repeated."""
        before = set(sending.outcomes)
        if answer.get("repeated") and not before & {"unknown", "accepted"}:
            self.fault(f"{sending.id}: repeated, though nothing was sent before: {sending.outcomes}")
        if "accepted" in before and not answer.get("repeated"):
            self.fault(f"{sending.id}: accepted a second time as if it were new")

    def cancel(self, api: Daemon, sending: Sending) -> None:
        """The sender's program thinks better of it; whether that comes in time is up to the relays."""
        sending.cancelled = True
        api.change(f"/v1/messages/{sending.id}/cancel")

    def take(self, api: Daemon, office: str, *, acknowledges: bool = True) -> int:
        """Take what is there; how many. Also acknowledge it, and what was left before, or leave that for later."""
        taken = list(api.change("/v1/inbox/take", {"max": 200}).many())
        left = self._left[office]
        with self._lock:
            for message in taken:
                self.seen[message["id"]] = (office, message["body"])
                self.received[message["id"]] = message["received_at"]
                self.new[message["id"]] += "redelivered" not in message["flags"]
            left |= {message["id"] for message in taken}
        if acknowledges and left:
            api.change("/v1/inbox/ack", {"ids": sorted(left)})
            left.clear()
        return len(taken)

    def fault(self, what: str) -> None:
        with self._lock:
            self.faults.append(what)

    # The end.

    def settle(self, stage: Stage) -> None:
        """Wait until everything has come to its end (G16): every message final, every queue empty, all of it taken."""
        try:
            until(lambda: not self._unfinished(stage), QUIET_S, 0.05)
        except AssertionError:
            self.fault(f"not quiet after {QUIET_S} s: {self._unfinished(stage)[:10]}")
        # What came to an office after it was looked at last, while the others were; now nothing is under way any more.
        for office in OFFICES:
            self._take_all(stage, office)

    def _take_all(self, stage: Stage, office: str) -> None:
        with stage.api(office) as api:
            while self.take(api, office):
                pass

    def _unfinished(self, stage: Stage) -> list[str]:
        found: list[str] = []
        for office in OFFICES:
            self._take_all(stage, office)
            found += [f"{office} holds {each}" for each in stage.queue(office)]
            found += [
                f"{message} is {recipient['state']}"
                for message, one in stage.sent(office).items()
                for recipient in one["recipients"]
                if not recipient["final"]
            ]
        return found

    def judge(self, stage: Stage, folder: Path) -> list[str]:
        """Compare promises with facts; everything that is wrong, in words. Call after `settle`."""
        sent = {office: stage.sent(office) for office in OFFICES}
        known: dict[str, Any] = {message: one for box in sent.values() for message, one in box.items()}
        for sending in self.sendings.values():
            self.judge_message(sending, known.get(sending.id))
        for message in set(self.seen) | set(known):
            if message not in self.sendings:
                self.fault(f"{message}: nobody sent it (G3)")
        for office in OFFICES:
            self._judge_office(stage, office, sent[office])
        shown = [one for one in self.sendings.values() if one.accepted and one.id in self.seen]
        for sending in shown[-EVIDENCE:]:
            self.judge_evidence(stage, folder, sending)
        return self.faults

    def judge_message(self, sending: Sending, record: Mapping[str, Any] | None) -> None:
        """One message beside what its sender's relay says of it."""
        what = f"{sending.id} {sending.office} -> {sending.to} {dict(Counter(sending.outcomes))}"
        if self.new[sending.id] > 1:
            self.fault(f"{what}: handed out as new {self.new[sending.id]} times (G2)")
        if record is None:
            if sending.accepted:
                self.fault(f"{what}: accepted, and its sender knows nothing of it (G1)")
            if sending.id in self.seen:
                self.fault(f"{what}: it arrived, and its sender knows nothing of it (G1)")
            return
        if not sending.accepted and not sending.unknown:
            self.fault(f"{what}: stored, though the answer was that it was not")
        (recipient,) = record["recipients"]
        state, types = recipient["state"], [event["type"] for event in recipient["events"]]
        corrected = {event["code"] for event in recipient["events"] if event["type"] == "correction"}
        arrived = state in DONE or "delivered" in corrected
        if not recipient["final"] or not (state in DONE or ((sending.life or sending.cancelled) and state in DEAD)):
            self.fault(f"{what}: ended as {state} {types} (G1)")
        if types.count("delivered") > 1 or "custody_lost" in types or (corrected and state != "unconfirmed"):
            self.fault(f"{what}: a story that cannot be: {types} {corrected} (G8)")
        if not all(event["verified"] for event in recipient["events"] if event["by"] != sending.office):
            self.fault(f"{what}: events that nobody proved: {recipient['events']} (G7)")
        if sending.id not in self.seen:
            if arrived:
                self.fault(f"{what}: {types}, and the recipient's program never got it (G1, G7)")
        elif self.seen[sending.id] != (sending.to, sending.body):
            self.fault(f"{what}: it arrived as something else (G3)")
        elif not arrived:
            self.fault(f"{what}: it arrived, and its sender says {state} {types} (G8)")
        elif self.received[sending.id] > record["expires_at"]:
            self.fault(f"{what}: it came {self.received[sending.id]}, and was over {record['expires_at']} (G9)")
        self.ends[state] += 1

    def _judge_office(self, stage: Stage, office: str, sent: Mapping[str, Any]) -> None:
        """Counters, alarms, quarantine and rows of one office."""
        status = stage.lab.status(office)
        counters = status["counters"]
        arrived = sum(self.seen[message][0] == office for message in self.seen)
        ended = Counter(recipient["state"] for one in sent.values() for recipient in one["recipients"])
        wanted = {"accepted": len(sent), "received": arrived, "quarantined": 0}
        if not ended["unconfirmed"]:
            # What is learned after an `unconfirmed` is counted, too.
            wanted |= {"delivered": len(sent) - ended["expired"], "expired": ended["expired"]}
        found = {name: counters[name] for name in wanted}
        if found != wanted:
            self.fault(f"{office}: counters say {found}, not {wanted}")
        if status.get("alarms"):
            self.fault(f"{office}: a false alarm: {status['alarms']}")
        for check in ("fsck", "audit/verify"):
            with stage.api(office) as api:
                said = api.change(f"/v1/{check}").one()
            if said["ok"] is not True:
                # A line that a kill or a cut tore is not tampering, either (G15).
                self.fault(f"{office}: {check} says {said}")

    def judge_evidence(self, stage: Stage, folder: Path, sending: Sending) -> None:
        """The evidence of a message, written by sender and recipient, verifies offline."""
        for office in (sending.office, sending.to):
            with stage.api(office) as api:
                data = api.read(f"/v1/messages/{sending.id}/evidence").body
            file = folder / "evidence.cbor"
            file.write_bytes(data)
            verdict = verify_file(file, stage.lab.root_fingerprint, None)
            said = {receipt["type"] for receipt in verdict["receipts"] if receipt["ok"]}
            if not verdict["ok"] or "delivered" not in said:
                self.fault(f"{sending.id}: evidence of {office} does not hold: {verdict}")
