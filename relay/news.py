"""What just became durable, for those who wait: `--wait`, the event stream. Nothing here is remembered."""

import asyncio
from collections.abc import Callable, Sequence

from relay.store.events import Event

BACKLOG_EVENTS = 1_000
"""Most events kept for one slow listener; beyond, it is told to read from the store."""


class News:
    """Listeners for events, in one event loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self.note: Callable[[Sequence[Event]], None] | None = None
        """Is told everything at once, before the listeners."""

    def publish(self, events: Sequence[Event]) -> None:
        """Tell all listeners; called after the commit."""
        if self.note is not None:
            self.note(events)
        if not self._listeners:
            return
        for event in events:
            for queue in self._listeners:
                if queue.full():
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait(None)
                else:
                    queue.put_nowait(event)

    def listen(self) -> asyncio.Queue[Event | None]:
        """A new queue of events; None in it says that some were dropped. Give it back with `leave`."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BACKLOG_EVENTS)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[Event | None]) -> None:
        """Stop listening."""
        self._listeners.discard(queue)
