"""How one office's connections serve their lanes, watched frame by frame (G5, G6)."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from protocol.lanes import Lane, lane_by_label
from protocol.outbox import Outbox
from protocol.parcel import Shipment
from protocol.scheduler import LaneScheduler
from tests.sim.broken import Broken

PASSED_MOST = 19
"""A lane that always waits and gets one frame in 20 has its 5 % (G6)."""


class LaneWatch:
    """What is judged, for each connection group of a running process:

    G5: while a flash frame waits to be planned, or is planned and its PUBLISH has not started, at most one frame of a
    lower lane starts. G6: a lane that waits is passed over at most `PASSED_MOST` times, and two frames in a row never
    go to lanes below the highest that waits.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.worst: Counter[str] = Counter()
        self._picks: list[tuple[frozenset[Lane], Lane]] = []

    def follow(self, outbox: Outbox) -> None:
        """Watch the outbox of a process that starts."""
        self._passed: Counter[tuple[str, Lane]] = Counter()
        self._was_share: dict[str, bool] = {}
        self._overtaken: dict[str, list[int]] = {"fast": [], "slow": []}
        self._flash_waits: dict[str, int | None] = {"fast": None, "slow": None}
        plan, unsent = outbox.plan, outbox.unsent
        watched: Any = {group: _Noted(scheduler, self._picks) for group, scheduler in outbox._schedulers.items()}
        outbox._schedulers = watched

        def watched_plan(group: str, now_us: int) -> Shipment | None:
            self._picks.clear()
            shipment = plan(group, now_us)
            if shipment is not None:
                self._on_plan(group, *self._picks[-1])
            return shipment

        def watched_unsent(shipment: Shipment, now_us: int) -> None:
            if shipment.lane is Lane.FLASH and self._overtaken["fast"]:
                self._overtaken["fast"].pop(0)
            unsent(shipment, now_us)

        outbox.plan, outbox.unsent = watched_plan, watched_unsent  # type: ignore[method-assign]

    def _on_plan(self, group: str, waiting: Collection[Lane], chosen: Lane) -> None:
        share = chosen is not min(waiting)
        if share and self._was_share.get(group):
            raise Broken("G6", f"{self._address} sent two frames of lower lanes in a row while {min(waiting)!r} waited")
        self._was_share[group] = share
        for lane in Lane:
            passed = 0 if lane is chosen or lane not in waiting else self._passed[group, lane] + 1
            self._passed[group, lane] = passed
            self.worst["passed_over"] = max(self.worst["passed_over"], passed)
            if passed > PASSED_MOST:
                raise Broken("G6", f"{self._address} passed over {lane!r} {passed} times")
        if Lane.FLASH not in waiting:
            self._flash_waits[group] = None
        elif chosen is Lane.FLASH:
            self._overtaken[group].append(self._flash_waits[group] or 0)
            self._flash_waits[group] = None
        else:
            self._flash_waits[group] = self._flash_waits[group] or 0

    def on_start(self, group: str, topic: str) -> None:
        """A PUBLISH starts."""
        parts = topic.split("/")
        lane = lane_by_label(parts[3]) if len(parts) == 5 else None
        if lane is None:
            return
        if lane is Lane.FLASH:
            if self._overtaken[group]:
                self._overtaken[group].pop(0)
            return
        waits = self._flash_waits[group]
        if waits is not None:
            self._flash_waits[group] = waits + 1
        self._overtaken[group] = [one + 1 for one in self._overtaken[group]]
        worst = max([*self._overtaken[group], self._flash_waits[group] or 0])
        self.worst["lower_before_flash"] = max(self.worst["lower_before_flash"], worst)
        if worst > 1:
            raise Broken("G5", f"{worst} frames of lower lanes started at {self._address} while flash waited")


class _Noted:
    """A scheduler whose decisions are noted."""

    def __init__(self, scheduler: LaneScheduler, picks: list[tuple[frozenset[Lane], Lane]]) -> None:
        self._scheduler = scheduler
        self._picks = picks

    def pick(self, waiting: Collection[Lane]) -> Lane:
        lane = self._scheduler.pick(waiting)
        self._picks.append((frozenset(waiting), lane))
        return lane
