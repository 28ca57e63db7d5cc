"""How far a neighbour has come with what it was sent (D2).

It answers in the order in which frames came. While it goes on answering what was sent before, what was sent later is
not late, however long that takes; sending that again would only make the way longer.
"""


class Progress:
    """One neighbour on one connection group. Times in microseconds that never fall.

    `trip_us`: the usual round trip. `once_us` is the newest sending that it answered, of what was sent only once:
    everything older was overtaken by that, and is lost. Of what was sent again nobody knows which sending was answered;
    `answered_us` counts that too.
    """

    __slots__ = ("_heard_us", "_probed_us", "answered_us", "once_us", "trip_us")

    def __init__(self) -> None:
        self.trip_us: int | None = None
        self.once_us = 0
        self.answered_us = 0
        self._heard_us = 0
        self._probed_us = 0

    def answer(self, sent_us: int, now_us: int, *, once: bool) -> None:
        """It answered something; `once` if that was sent to it a single time."""
        self._heard_us = now_us
        self.answered_us = max(self.answered_us, sent_us)
        if once:
            # Karn's rule: only what was sent once tells how long the way takes.
            trip_us = now_us - sent_us
            self.trip_us = (7 * (trip_us if self.trip_us is None else self.trip_us) + trip_us) // 8
            self.once_us = max(self.once_us, sent_us)

    def wait_in_vain(self, sent_us: int, now_us: int) -> None:
        """Nothing came of what was sent then. Unless it was lost, it is merely busy: a round trip takes no less."""
        if sent_us >= self.answered_us:
            self.trip_us = max(self.trip_us or 0, now_us - max(sent_us, self._heard_us))

    def late_us(self, sent_us: int, first_us: int, wait_us: int, now_us: int) -> int:
        """When something is late that was sent then: by now, or the time to look again. `wait_us` is how long silence
        may last, `first_us` the least pause before anything is sent again.

        When nothing at all has come for so long, only one thing is sent again, to see: the others wait for what comes
        of that. An answer to it and then none to them shows that they are lost.
        """
        if sent_us < self.once_us:
            return max(sent_us + first_us, now_us)
        silence_us = first_us if sent_us < self.answered_us else wait_us
        quiet_us = max(sent_us, self._heard_us, self._probed_us) + silence_us
        if quiet_us > now_us:
            # Looked at again before that, for it may be overtaken.
            return min(quiet_us, now_us + first_us)
        if sent_us >= self.answered_us:
            self._probed_us = now_us
        return now_us
