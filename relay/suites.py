"""What the network asks of this relay and it cannot do: a suite without its library, a signing key of no allowed suite.

A directory may ask it of a relay at work (DESIGN D5). What can still be carried is carried; the operator hears of it at
once, and not from the next start, which refuses SUITE_MISSING.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from keys.primitives import suite_for
from protocol.errors import Refused
from relay.ground import Ground
from relay.opening import require_suites

LOOK_S: Final = 60.0
"""How often it is looked whether the library was installed meanwhile."""


class Suites:
    """Compares the suites that the directory in force allows with what is here."""

    def __init__(self, ground: Ground, renew: Callable[[], None]) -> None:
        """`renew` makes every connection anew: what was refused for want of the library is asked for again."""
        self._ground = ground
        self._renew = renew
        ground.trust_takers.append(self.look)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Raise or clear both alarms."""
        ground, alarms = self._ground, self._ground.alarms
        now_us, allowed = ground.clock.now_us(), ground.directory.rules.suites
        try:
            require_suites(ground.directory)
        except Refused as refused:
            alarms.sound("SUITE_MISSING", now_us, f"{refused.detail}; the next start will refuse")
        else:
            if "SUITE_MISSING" in alarms:
                alarms.clear("SUITE_MISSING")
                self._renew()
        if suite_for(ground.identity.key.suite, allowed) is None:
            alarms.sound("KEY_SUITE", now_us, f"allowed are {' '.join(map(str, allowed))}")
        else:
            alarms.clear("KEY_SUITE")
