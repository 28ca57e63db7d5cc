"""The seams between the engine and the world: what a simulator replaces, and nothing else."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from protocol.lanes import Lane

T = TypeVar("T")


class Clock(Protocol):
    """Time as the engine sees it."""

    def now_us(self) -> int:
        """Believed time in microseconds since 1970: it neither jumps nor falls below the clock floor (G9, D12)."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds that only rise, for time-outs."""
        ...


class Entropy(Protocol):
    """The source of randomness."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...


class Store(Protocol):
    """Durable memory: one writer, group commit (D10).

    A change is one synchronous function over a `relay.store.database.Txn`. It runs in the writer's thread
    inside a savepoint: when it raises, only its own work is undone and the exception reaches the caller.
    `write` returns after the commit of the whole group is durable.
    """

    @property
    def commits(self) -> int:
        """How many groups that changed anything are durable, since the home began: it never falls (G12)."""
        ...

    async def write(self, lane: Lane, change: Callable[[Any], T]) -> T: ...

    async def read(self, query: Callable[[Any], T]) -> T: ...


class Offload(Protocol):
    """Runs work that burns CPU (signatures, sealing) off the event loop; in the simulator, inline.

    `pieces` says how many objects it is about: what is quick need not change threads.
    """

    def run(self, work: Callable[[], T], pieces: int) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """One PUBLISH that came from a broker; all of it is untrusted."""

    broker: str
    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A connection to a broker came up or went down. `error` is text for `status`, without secrets."""

    broker: str
    group: str
    up: bool
    error: str | None
    taken_over: bool = False
    """We were thrown out again and again: another client may use our id (D9)."""


class Transport(Protocol):
    """Connections to brokers: per broker one for the `fast` lanes and one for the `slow` ones (D4).

    What arrives is handed to the callback given at construction, one call at a time per connection;
    the connection reads no further until the callback returns (backpressure).
    """

    async def publish(self, broker: str, group: str, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish with QoS 1. True when the broker acknowledged, which is a hint and never custody (D1).

        False when the connection is down, breaks, or does not acknowledge in time.
        """
        ...

    async def subscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """Hear these topics too, from what is retained on; while the connection lasts, or until `unsubscribe`.

        Whether the broker agreed.
        """
        ...

    async def unsubscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """Hear these topics no more. Whether the broker agreed; a connection that is down forgot them anyway."""
        ...

    def renew(self) -> None:
        """End every connection and make it anew, with a new will."""
        ...
