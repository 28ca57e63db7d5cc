"""How the story is told: readable lines with times, in colour on a terminal, or JSON lines for programs."""

import time
from collections.abc import Sequence
from typing import Any

from protocol.limits import SECOND_US
from relay.console.failure import Failure
from relay.console.output import console, emit, printable
from relay.demo.words import tell
from relay.times import time_text


class Telling:
    """Writes lines as things happen, and remembers how every act ended."""

    def __init__(self, lang: str, *, as_json: bool) -> None:
        self.lang = lang
        self.as_json = as_json
        self.acts: list[dict[str, Any]] = []
        self._started_s = time.monotonic()
        self._act_started_s = self._started_s
        self._console = None if as_json else console()

    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._started_s, 3)

    def begin(self, title: str, **values: Any) -> None:
        """The heading of the whole story."""
        if self.as_json:
            emit({"type": "begin", "at": _now(), **values})
        else:
            self._line([(tell("title", self.lang), "bold"), ("  " + tell(title, self.lang, **values), "dim")])

    def act(self, name: str) -> None:
        """A new act; the one before it ended well."""
        self.end_act(ok=True)
        self._act_started_s = time.monotonic()
        self.acts.append({"act": len(self.acts), "name": name})
        if self.as_json:
            emit({"type": "act", **self.acts[-1], "title": tell(name, self.lang), "at": _now()})
        else:
            self._line([("", ""), ("\n" + tell(name, self.lang), "bold cyan")])

    def end_act(self, *, ok: bool) -> None:
        """Close the current act, if there is one that is open."""
        if self.acts and "ok" not in self.acts[-1]:
            self.acts[-1] |= {"ok": ok, "seconds": round(time.monotonic() - self._act_started_s, 3)}

    def check(self, step: str, *held: bool, **values: Any) -> None:
        """One step of the story with all that has to hold for it; raises `Failure` CHECK_FAILED where it does not."""
        ok = all(held)
        words = printable(tell(step, self.lang, **values))
        if self.as_json:
            act = len(self.acts) - 1
            emit(
                {"type": "step", "act": act, "step": step, "ok": ok, "at": _now(), "after_s": self.seconds(), **values}
            )
        else:
            mark = ("✓ ", "green") if ok else ("✗ ", "bold red")
            self._line([(f"{self.seconds():7.2f} s  ", "dim"), mark, (words, "" if ok else "red")])
        if not ok:
            raise Failure("CHECK_FAILED", f"{step}: {words}")

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and values; programs get them with the result."""
        if self._console is None:
            return
        from rich.cells import cell_len

        width = max(cell_len(tell(key, self.lang)) for key, _ in rows)
        for key, value in rows:
            name = tell(key, self.lang)
            self._line([("  " + name + " " * (width - cell_len(name) + 2), "dim"), (value, "")])

    def result(self, *, ok: bool, why: str = "", **values: Any) -> None:
        """The last line; for people a failure is told on standard error."""
        self.end_act(ok=ok)
        if self.as_json:
            failed = {} if ok else {"why": why}
            emit({"type": "result", "ok": ok, "seconds": self.seconds(), **failed, "acts": self.acts, **values})
        elif ok:
            self._line([("\n" + tell("passed", self.lang, seconds=f"{self.seconds():.1f}"), "bold green")])

    def note(self, key: str, **values: Any) -> None:
        """A line for people only."""
        self._line([(tell(key, self.lang, **values), "dim")])

    def _line(self, parts: Sequence[tuple[str, str]]) -> None:
        if self._console is None:
            return
        from rich.text import Text

        self._console.print(Text.assemble(*parts), soft_wrap=True)
        self._console.file.flush()


def _now() -> str:
    return time_text(time.time_ns() * SECOND_US // 1_000_000_000)
