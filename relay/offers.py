"""Trust files that publishers offer, until they are looked at together: bounded, whoever publishes (D8, D9, G13)."""

from collections.abc import Callable, Iterator
from typing import Final

from protocol.errors import RemoteError
from protocol.ids import Address

FILES_MAX: Final = 64
BYTES_MAX: Final = 8 * 1024 * 1024
"""Most trust files, and bytes of them, remembered of one publisher (D9)."""
TOTAL_BYTES_MAX: Final = 32 * 1024 * 1024
"""Most bytes remembered of all of them: beyond, those of the publishers heard of first are forgotten."""
STRANGERS_MAX: Final = 4
"""Most publishers listened to that our directory does not name: an honest one brings the directory that does."""


class Offers:
    """Files by publisher and name. Nothing here is verified."""

    def __init__(self) -> None:
        self._files: dict[Address, dict[str, bytes]] = {}

    def take(self, publisher: Address, file: str, data: bytes, is_known: Callable[[Address], bool]) -> bool:
        """Remember a file; whether it is another than before. Raises `RemoteError` for one stranger too many."""
        strangers = sum(not is_known(one) for one in self._files)
        if publisher not in self._files and not is_known(publisher) and strangers >= STRANGERS_MAX:
            raise RemoteError("UNKNOWN_OFFICE", "too many trust publishers that the directory does not name")
        files = self._files.setdefault(publisher, {})
        if len(files) >= FILES_MAX or _size(files) + len(data) > BYTES_MAX:
            files.clear()
        changed = files.get(file) != data
        files[file] = data
        self._forget(publisher)
        return changed

    def __iter__(self) -> Iterator[tuple[Address, dict[str, bytes]]]:
        return iter([(publisher, dict(files)) for publisher, files in self._files.items()])

    def _forget(self, heard: Address) -> None:
        """Within the bound of all; whoever is forgotten says it again at the next connection."""
        sizes = {publisher: _size(files) for publisher, files in self._files.items()}
        for publisher in tuple(self._files):
            if sum(sizes.values()) <= TOTAL_BYTES_MAX:
                return
            if publisher != heard:
                del self._files[publisher], sizes[publisher]


def _size(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))
