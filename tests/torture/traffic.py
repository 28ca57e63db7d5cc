"""Programs that go on sending and taking while the relays die under them."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress

from relay.console.failure import Failure
from tests.live.network import new_id
from tests.torture.ledger import Ledger, Sending
from tests.torture.stage import OFFICES, Stage

PAUSE_S = 0.03
"""Between two messages of a sender: enough traffic that every kill meets some, little enough to let daemons start."""
GIVES_UP = 0.1
"""The share of messages whose sender does not ask again after an unknown outcome."""
ACKNOWLEDGES = 0.3
"""How often a reader acknowledges what it took so far; after a kill in between, that comes again as redelivered."""
MORTAL, LIVES = 0.15, ("100ms", "300ms", "1s", "3s")
"""The share of messages that may die on the way, and how long they live: `expired` must then be true (G8, G9)."""
CANCELS = 0.04
"""The share of messages that their sender cancels as soon as they are accepted."""
BODIES = (40, 400, 4_000)
"""Characters of a body."""


class Traffic:
    """A sender and a reader at each office, as threads."""

    def __init__(self, stage: Stage, ledger: Ledger, seed: int) -> None:
        self._stage = stage
        self._ledger = ledger
        self._stop_sending = threading.Event()
        self._stop_reading = threading.Event()
        self._senders = [self._thread(self._send, office, random.Random(f"{seed}/{office}/send")) for office in OFFICES]
        self._readers = [self._thread(self._read, office, random.Random(f"{seed}/{office}/read")) for office in OFFICES]

    def start(self) -> None:
        for thread in (*self._senders, *self._readers):
            thread.start()

    def abandon(self) -> None:
        """No more of anything, without waiting: something broke, and that is what must be told."""
        self._stop_sending.set()
        self._stop_reading.set()

    def stop(self) -> None:
        """No more messages; every message with an unknown outcome was asked for again, or given up."""
        self._stop_sending.set()
        for thread in self._senders:
            thread.join(60)
            assert not thread.is_alive(), "a sender never got an answer"
        self._stop_reading.set()
        for thread in self._readers:
            thread.join(60)
            assert not thread.is_alive(), "a reader never got an answer"

    def _thread(self, work: Callable[[str, random.Random], None], office: str, rng: random.Random) -> threading.Thread:
        def run() -> None:
            try:
                work(office, rng)
            except Exception as error:  # noqa: BLE001 - a thread that died must not pass for quiet
                self._ledger.fault(f"{work.__name__} at {office} broke: {error!r}")

        return threading.Thread(target=run, daemon=True)

    def _send(self, office: str, rng: random.Random) -> None:
        others = [other for other in OFFICES if other != office]
        while not self._stop_sending.is_set():
            body = "水位上涨,已组织巡查。"[: rng.randrange(1, 12)] * (rng.choice(BODIES) // 11)
            life = rng.choice(LIVES) if rng.random() < MORTAL else ""
            sending = Sending(new_id(), office, rng.choice(others), body, life)
            gives_up = rng.random() < GIVES_UP
            while (outcome := self._try(sending)) != "accepted":
                if (gives_up and outcome == "unknown") or outcome == "refused":
                    break
                self._stop_sending.wait(0.02)
            if rng.random() < 0.05 and sending.accepted:
                self._try(sending)
            if rng.random() < CANCELS and sending.accepted:
                self._cancel(sending)
            self._stop_sending.wait(rng.expovariate(1 / PAUSE_S))

    def _try(self, sending: Sending) -> str:
        with self._stage.api(sending.office) as api:
            return self._ledger.send(api, sending)

    def _cancel(self, sending: Sending) -> None:
        with suppress(Failure), self._stage.api(sending.office) as api:
            self._ledger.cancel(api, sending)

    def _read(self, office: str, rng: random.Random) -> None:
        while not self._stop_reading.wait(rng.uniform(0.02, 0.1)):
            try:
                with self._stage.api(office) as api:
                    self._ledger.take(api, office, acknowledges=rng.random() < ACKNOWLEDGES)
            except Failure as failure:
                if failure.code not in ("DAEMON_DOWN", "OUTCOME_UNKNOWN"):
                    self._ledger.fault(f"taking at {office}: {failure}")
