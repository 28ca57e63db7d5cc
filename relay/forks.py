"""Forks of the directory: a neighbour whose directory of our version is another one (D8, SPEC M49).

Somebody signed two directories with one version, or somebody keeps one from us: people must compare fingerprints.
"""

from collections.abc import Iterable
from typing import Final

from protocol.ids import OfficeId
from protocol.presence import Presence
from relay.ground import Ground

NAMED_MAX: Final = 5
"""Most neighbours named in the alarm."""


class Forks:
    """The neighbours whose presence shows a fork, and the alarm about them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._forked: set[OfficeId] = set()
        self._signed_twice = ""

    def compare(self, presence: Presence) -> None:
        """A neighbour's newest presence: other versions say nothing."""
        trust = self._ground.trust
        differs = presence.trust_version == trust.version and presence.trust_digest != trust.digest
        if differs != (presence.office in self._forked):
            (self._forked.add if differs else self._forked.discard)(presence.office)
            self._tell()

    def signed_twice(self, detail: str) -> None:
        """Files that verify, of the version that we have, and say something else: their signers said two things."""
        self._signed_twice = detail
        self._tell()

    def begin_again(self, known: Iterable[Presence]) -> None:
        """Our directory changed: what neighbours said last is compared with the new one."""
        self._forked.clear()
        self._signed_twice = ""
        for presence in known:
            self.compare(presence)
        self._tell()

    def _tell(self) -> None:
        ground = self._ground
        if self._signed_twice:
            detail = f"{self._signed_twice}: speak to the network administrator, keys may be stolen"
            ground.alarms.sound("TRUST_FORK", ground.clock.now_us(), detail)
            return
        if not self._forked:
            ground.alarms.clear("TRUST_FORK")
            return
        named = ", ".join(sorted(map(ground.address_of, self._forked))[:NAMED_MAX])
        more = f" and {len(self._forked) - NAMED_MAX} more" if len(self._forked) > NAMED_MAX else ""
        detail = (
            f"version {ground.trust.version} of the directory is another one at {named}{more}; ask the network "
            "administrator which of the two is right, and trust nothing urgent before"
        )
        ground.alarms.sound("TRUST_FORK", ground.clock.now_us(), detail)
