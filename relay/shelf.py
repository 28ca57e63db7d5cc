"""Bytes of parcels that will be sent soon, so that they need not be read back from the store."""

SHELF_BYTES = 32 * 1024 * 1024
"""Most bytes kept: about 10,000 reports of a page. What does not fit is read from the store when its turn comes."""


class Shelf:
    """A bounded memory of parcels' bytes by digest. Full, it takes nothing more: the oldest are sent first."""

    def __init__(self, bytes_max: int = SHELF_BYTES) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._items: dict[bytes, bytes] = {}

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep a parcel's bytes while there is room."""
        if digest not in self._items and self._bytes + len(data) <= self._bytes_max:
            self._items[digest] = data
            self._bytes += len(data)

    def get(self, digest: bytes) -> bytes | None:
        """The bytes, if they are here."""
        return self._items.get(digest)

    def drop(self, digest: bytes) -> None:
        """Forget a parcel's bytes."""
        data = self._items.pop(digest, None)
        if data is not None:
            self._bytes -= len(data)
