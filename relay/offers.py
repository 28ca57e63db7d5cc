"""Trust files that publishers offer, until they are looked at together: bounded, whoever publishes (D8, D9, G13).

What one broker says of a publisher is kept apart from what another says: a broker that mixes files of its own with the
publisher's spoils what it passes on itself, and nothing that comes another way (G14).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from protocol.errors import RemoteError
from protocol.ids import Address

FILES_MAX: Final = 64
BYTES_MAX: Final = 8 * 1024 * 1024
"""Most trust files, and bytes of them, remembered of one source (D9)."""
TOTAL_BYTES_MAX: Final = 32 * 1024 * 1024
"""Most bytes remembered of all: beyond, those heard of first are forgotten, of the same broker before others."""
STRANGERS_MAX: Final = 4
"""Most publishers on a broker that our directory does not name: an honest one brings the directory that does."""


@dataclass(frozen=True, slots=True)
class Source:
    """A publisher, on the broker where it was heard; "" for what an administrator gives."""

    broker: str
    publisher: Address


class Offers:
    """Files by source and name. Nothing here is verified."""

    def __init__(self) -> None:
        self._files: dict[Source, dict[str, bytes]] = {}

    def take(self, source: Source, file: str, data: bytes, is_known: Callable[[Address], bool]) -> bool:
        """Remember a file; whether it is another than before. Raises `RemoteError` for one stranger too many."""
        if source not in self._files and not is_known(source.publisher):
            beside = [one for one in self._files if one.broker == source.broker and not is_known(one.publisher)]
            if len(beside) >= STRANGERS_MAX:
                raise RemoteError("UNKNOWN_OFFICE", "too many trust publishers that the directory does not name")
        files = self._files.setdefault(source, {})
        if len(files) >= FILES_MAX or _size(files) + len(data) > BYTES_MAX:
            files.clear()
        changed = files.get(file) != data
        files[file] = data
        self._forget(source)
        return changed

    def __iter__(self) -> Iterator[tuple[Source, dict[str, bytes]]]:
        return iter([(source, dict(files)) for source, files in self._files.items()])

    def _forget(self, heard: Source) -> None:
        """Within the bound of all; whoever is forgotten says it again at the next connection."""
        sizes = {source: _size(files) for source, files in self._files.items()}
        for source in sorted(sizes, key=lambda one: one.broker != heard.broker):
            if sum(sizes.values()) <= TOTAL_BYTES_MAX:
                return
            if source != heard:
                del self._files[source], sizes[source]


def _size(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))
