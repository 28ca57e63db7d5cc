"""A campaign of torture that is stopped and taken up again: its record is a file, a line of JSON for each finished run.

Goals are numbers of kills, cuts and crash points. Runs are short and have seeds of their own, so that a machine that is
switched off loses minutes; the kind that is furthest from its goal is next.
"""

import json
import subprocess
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.live.network import ROOT
from tests.torture import cuts, kills, points
from tests.torture.hands import Deadline
from tests.torture.points import Point

RUN: Final = {"kills": 250, "cuts": 50, "points": 60}
"""How much one run does: one to three minutes."""
SEEDS: Final = 1_000_000
"""Runs of one base seed before the seeds of the next."""


def work(kind: str, seed: int, share: int, names: Sequence[Point], enough: Deadline) -> dict[str, Any]:
    """One run, in a process of its own; the line of the record. A run that breaks off is a fault, too."""
    line: dict[str, Any] = {"kind": kind, "seed": seed, "share": share, "program": _program(), "counts": {}}
    try:
        return line | _torture(kind, seed, share, names, enough)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported with the seed
        return line | {"faults": ["".join(traceback.format_exception(error))]}


def _torture(kind: str, seed: int, share: int, names: Sequence[Point], enough: Deadline) -> dict[str, Any]:
    if kind == "kills":
        killed = kills.torture(seed, share, enough)
        told = {"counts": dict(killed.kills), "messages": killed.messages, "outcomes": dict(killed.outcomes)}
        return told | {"ends": dict(killed.ends), "faults": killed.faults}
    if kind == "cuts":
        cut = cuts.torture(seed, share, enough)
        told = {"counts": dict(cut.cuts), "messages": cut.messages, "outcomes": dict(cut.outcomes)}
        told["ends"] = dict(cut.ends)
        return told | {"receipts": cut.receipts_aimed_at, "untruthful": cut.untruthful, "faults": cut.faults}
    tried = points.torture(names, enough)
    told = {"counts": {"hit": len(tried.hit), "missed": len(tried.missed)}, "messages": len(tried.hit)}
    return told | {"hit": tried.hit, "missed": tried.missed, "faults": tried.faults}


def _program() -> str:
    """Which state of the program was tortured, as git names it."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def command_for(line: Mapping[str, Any]) -> str:
    """What repeats a run. A point's own name is in the text of its fault."""
    return f"python -m tests.torture --again {line['kind']} --seed {line['seed']} --share {line['share']}"


@dataclass(slots=True)
class Campaign:
    """What was done so far, and what is next."""

    record: Path
    goals: Mapping[str, int]
    points: Sequence[Point] = ()
    base_seed: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    _under_way: Counter[str] = field(default_factory=Counter)
    _given: set[str] = field(default_factory=set)
    _started: Counter[str] = field(default_factory=Counter)

    def load(self) -> None:
        """Take up what the file holds; a torn last line, from a machine that was switched off, is left out."""
        if self.record.exists():
            for text in self.record.read_text().splitlines():
                try:
                    self.lines.append(json.loads(text))
                except json.JSONDecodeError:
                    continue
        for line in self.lines:
            self._started[line["kind"]] += 1
            self._given |= {*line.get("hit", ()), *line.get("missed", ())}

    def finish(self, line: dict[str, Any], share: int) -> None:
        """A run has ended: keep its line."""
        self._under_way[line["kind"]] -= share
        self.lines.append(line)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def next_run(self) -> tuple[str, int, int, list[Point]] | None:
        """(kind, seed, share, points) of the next run, or None when every goal is reached or under way."""
        behind = {kind: self.done(kind) + self._under_way[kind] for kind in self.goals}
        names = [point for point in self.points if str(point) not in self._given][: RUN["points"]]
        open_kinds = [kind for kind, goal in self.goals.items() if behind[kind] < goal and (kind != "points" or names)]
        if not open_kinds:
            return None
        kind = min(open_kinds, key=lambda one: behind[one] / self.goals[one])
        share = min(RUN[kind], self.goals[kind] - behind[kind])
        names = names[:share] if kind == "points" else []
        self._given |= {str(point) for point in names}
        seed = self.base_seed * SEEDS + self._started[kind]
        self._started[kind] += 1
        self._under_way[kind] += share
        return kind, seed, share, names

    def done(self, kind: str) -> int:
        """How many kills of daemons, cuts or points were made."""
        counts = self.counts(kind)
        return counts.total() - counts["brokers"]

    def counts(self, kind: str) -> Counter[str]:
        return sum((Counter(line["counts"]) for line in self.lines if line["kind"] == kind), Counter[str]())

    def total(self, name: str, kind: str) -> int:
        return sum(line.get(name, 0) for line in self.lines if line["kind"] == kind)

    def summary(self) -> list[str]:
        """What the campaign has shown, in lines."""
        told = []
        for kind, goal in self.goals.items():
            lines = [line for line in self.lines if line["kind"] == kind]
            done, failed = self.done(kind), sum(bool(line["faults"]) for line in lines)
            text = f"{kind}: {done} of {goal} {dict(self.counts(kind))}, {self.total('messages', kind)} messages"
            if kind == "cuts":
                text += (
                    f", {self.total('receipts', kind)} receipts left at a cut, {self.total('untruthful', kind)} untrue"
                )
            if kind != "points" and done and not failed:
                # No failure in N independent trials bounds the rate by 3/N with 95 % confidence.
                text += f", rate below {3 / done:.1e} at 95 %"
            told.append(f"{text}; {failed} of {len(lines)} runs with faults")
        return told
