"""The trust store of a simulated office."""

from collections.abc import Mapping

from keys.primitives import sha256
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension
from keys.trust.store import Trust, UpdateResult
from protocol.limits import SECOND_US
from tests.sim.virtual import START_US


class FixedTrust:
    """A trust store whose directory nobody changes but the storm."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.suspensions: tuple[Suspension, ...] = ()

    def trust(self) -> Trust:
        far_us = START_US + 400 * 86_400 * SECOND_US
        digest = sha256(bytes(str(self.directory.version), "ascii"))
        return Trust(
            self.directory,
            self.suspensions,
            self.directory.version,
            digest,
            1,
            "",
            1,
            START_US,
            far_us,
            far_us,
            START_US,
        )

    def publishable_files(self) -> dict[str, bytes]:
        return {}

    def is_outdated_by(self, timestamp: bytes, now_us: int) -> bool:
        """No timestamps travel here."""
        return False

    def keep(self) -> None:
        """What was taken outlives every process."""

    def take(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        """Take a roster of a higher version; what makes one believed is judged in tests/keys."""
        offered = [Directory.decode(data) for data in files.values()]
        newer = [one for one in offered if one.version > self.directory.version]
        if newer:
            self.directory = max(newer, key=lambda one: one.version)
        return UpdateResult(bool(newer), self.trust())
