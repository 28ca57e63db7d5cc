"""Next hops, ranked (D2): a pure function of the directory's graph, of who is present, and of what was tried.

Two offices are neighbours when they share a broker. A neighbour that is the recipient is asked first; when it is
away, a present waypoint keeps the message for it: its parent, then ours, then any present neighbour of both.
Elsewhere the copy goes to a neighbour that is nearer to the recipient, and sideways only round one that failed.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from protocol.ids import OfficeId

REMEMBERED: Final = 10_000
"""Most rankings remembered at once: five for each office of the province."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Who shares a broker with whom, and who is whose parent."""

    neighbours: Mapping[OfficeId, frozenset[OfficeId]]
    parents: Mapping[OfficeId, OfficeId | None]

    def distances(self, recipient: OfficeId) -> dict[OfficeId, int]:
        """Hops from every office to the recipient, breadth first."""
        found = {recipient: 0}
        waiting = deque((recipient,))
        expanded: set[int] = set()
        while waiting:
            office = waiting.popleft()
            others = self.neighbours.get(office, frozenset())
            # Offices on the same brokers share one set object; looking at it once is enough.
            if id(others) in expanded:
                continue
            expanded.add(id(others))
            for other in others:
                if other not in found:
                    found[other] = found[office] + 1
                    waiting.append(other)
        return found


@dataclass(frozen=True, slots=True)
class Question:
    """Where should `me` send a copy for `recipient` next?

    `trail` names the offices it went through, `avoid` those that were tried and failed. `is_origin` is true where
    the copy began: only the origin uses waypoints, so that a copy does not wander between custodians.
    """

    me: OfficeId
    recipient: OfficeId
    trail: tuple[OfficeId, ...]
    avoid: Collection[OfficeId]
    is_origin: bool


def rank_next_hops(
    question: Question, graph: Graph, distances: Mapping[OfficeId, int], present: Collection[OfficeId]
) -> list[OfficeId]:
    """The offices to try, best first; empty when there is no way.

    `distances` are `graph.distances(question.recipient)`, handed in because the caller keeps them.
    An avoided office stays in the list, last: a bad way is better than none.
    """
    mine = graph.neighbours.get(question.me, frozenset())
    usable = [office for office in mine if office not in question.trail and office != question.me]
    if question.recipient in mine:
        ways = [question.recipient]
        if question.recipient not in present and question.is_origin:
            ways = _waypoints(question, graph, usable, present) + ways
        elif question.recipient in question.avoid:
            ways += _waypoints(question, graph, usable, present)
    else:
        here = distances.get(question.me, len(distances) + 1)
        ways = [office for office in usable if distances.get(office, here) < here]
        if all(office in question.avoid for office in ways):
            ways += [office for office in usable if distances.get(office, here + 1) == here]
        ways.sort(key=lambda office: _merit(office, question, graph, present))
    return sorted(ways, key=lambda office: office in question.avoid)


def _waypoints(
    question: Question, graph: Graph, usable: list[OfficeId], present: Collection[OfficeId]
) -> list[OfficeId]:
    """Present neighbours that share a broker with the absent recipient, its parent first, then ours."""
    able = [
        o
        for o in usable
        if o != question.recipient and o in present and question.recipient in graph.neighbours.get(o, ())
    ]
    parents = (graph.parents.get(question.recipient), graph.parents.get(question.me))
    return sorted(able, key=lambda office: (parents.index(office) if office in parents else len(parents), office))


def _merit(
    office: OfficeId, question: Question, graph: Graph, present: Collection[OfficeId]
) -> tuple[bool, bool, OfficeId]:
    """The sort key of a next hop: present before absent, then the parents' line, then by id.

    All that are nearer than we are equally near, since hops differ by one between neighbours.
    """
    line = (graph.parents.get(question.me), graph.parents.get(question.recipient))
    return (office not in present, office not in line, office)


class Routes:
    """The ranked next hops of one relay, remembered: a backlog of 100,000 has few different questions.

    `present` is the caller's own set; after changing it the caller must say `forget`.
    """

    __slots__ = ("_compared", "_distances", "_graph", "_me", "_present", "_ranked")

    def __init__(self, me: OfficeId, graph: Graph, present: Collection[OfficeId]) -> None:
        self._me, self._graph, self._present = me, graph, present
        # Offices on the same brokers are equally far from everybody else, and only our neighbours are ever compared:
        # 1,300 counties are a dozen short maps, and not 1,300 of the whole province (G13).
        self._distances: dict[frozenset[OfficeId], dict[OfficeId, int]] = {}
        self._compared = {me, *graph.neighbours.get(me, frozenset())}
        self._ranked: dict[tuple[OfficeId, tuple[OfficeId, ...], frozenset[OfficeId]], list[OfficeId]] = {}

    def rank(self, recipient: OfficeId, trail: tuple[OfficeId, ...], avoid: frozenset[OfficeId]) -> list[OfficeId]:
        """What `rank_next_hops` answers; what has no trail began here, sealed receipts too."""
        ranked = self._ranked.get((recipient, trail, avoid))
        if ranked is None:
            distances = self._distances_to(recipient)
            question = Question(self._me, recipient, trail, avoid, is_origin=not trail)
            ranked = rank_next_hops(question, self._graph, distances, self._present)
            if len(self._ranked) >= REMEMBERED:
                self._ranked.clear()
            self._ranked[recipient, trail, avoid] = ranked
        return ranked

    def _distances_to(self, recipient: OfficeId) -> dict[OfficeId, int]:
        """Ours and our neighbours' distances; not asked where the recipient is a neighbour itself."""
        beside = self._graph.neighbours.get(recipient, frozenset())
        if recipient in self._compared:
            return {}
        if beside not in self._distances:
            found = self._graph.distances(recipient)
            self._distances[beside] = {office: found[office] for office in self._compared if office in found}
        return self._distances[beside]

    def forget(self) -> None:
        """Presence has changed."""
        self._ranked.clear()
