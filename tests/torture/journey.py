"""One message from acceptance to the signature of a clerk, by programs that ask again whenever something broke."""

import time
from collections.abc import Callable

from relay.console.client import Daemon
from relay.console.failure import Failure
from tests.live.network import COUNTY, PROVINCE, new_id
from tests.torture.ledger import Ledger, Sending
from tests.torture.stage import Stage

END_S = 60
"""Within what time a journey must end after a kill (G16)."""
WAIT_S = 2
CLERK = "李处长"
RETRIED = frozenset({"DAEMON_DOWN", "OUTCOME_UNKNOWN", "WAIT_TIMEOUT"})


class Journey:
    """A message of the county to the province, through the city."""

    def __init__(self, stage: Stage, ledger: Ledger, name: str) -> None:
        self._stage = stage
        self._ledger = ledger
        self._deadline_s = time.monotonic() + END_S
        self.sending = Sending(new_id(), COUNTY, PROVINCE, f"{name}\n水位上涨,已组织巡查。")

    def accept(self) -> None:
        """Until the sender's program has the answer `accepted`."""
        self._insist(COUNTY, lambda api: self._ledger.send(api, self.sending) == "accepted")

    def travel(self) -> None:
        """Delivered; taken and acknowledged by a program; signed for by a clerk; and the sender knows."""
        self._insist(COUNTY, lambda api: self._is(api, "delivered"))
        self._insist(PROVINCE, self._take)
        self._insist(PROVINCE, self._sign)
        self._insist(COUNTY, lambda api: self._is(api, "signed_for"))

    def _insist(self, office: str, work: Callable[[Daemon], bool]) -> None:
        """Each try has a connection of its own, so that a journey makes the same system calls every time."""
        while True:
            try:
                with self._stage.api(office) as api:
                    if work(api):
                        return
            except Failure as failure:
                if failure.code not in RETRIED:
                    raise
            assert time.monotonic() < self._deadline_s, f"{self.sending} does not come to its end: {self._story()}"
            time.sleep(0.01)

    def _is(self, api: Daemon, state: str) -> bool:
        api.wait(f"/v1/messages/{self.sending.id}/timeline", state, WAIT_S)
        return True

    def _take(self, api: Daemon) -> bool:
        self._ledger.take(api, PROVINCE)
        return self.sending.id in self._ledger.seen

    def _sign(self, api: Daemon) -> bool:
        return bool(api.change(f"/v1/messages/{self.sending.id}/sign-for", {"by": CLERK}).one()["by"] == CLERK)

    def _story(self) -> object:
        try:
            return self._stage.lab.track(COUNTY, self.sending.id)
        except Failure as failure:
            return failure
