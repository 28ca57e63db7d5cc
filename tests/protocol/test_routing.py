"""Next hops over arbitrary networks: no loop, no dead end that is not one, waypoints for the absent (D2)."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import routing
from protocol.ids import OfficeId
from protocol.limits import TRAIL_OFFICES
from protocol.retry import back_off_us
from protocol.routing import Graph, Question, Routes, rank_next_hops

OFFICES = [OfficeId(bytes((number,)) * 16) for number in range(9)]
ME, OTHER, PARENT, FAR, *_ = OFFICES


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    pairs = draw(st.sets(st.sampled_from(list(itertools.combinations(OFFICES, 2))), max_size=20))
    neighbours = {o: frozenset(a if b == o else b for a, b in pairs if o in (a, b)) for o in OFFICES}
    parents = {
        o: draw(st.none() | st.sampled_from(OFFICES[:number])) if number else None for number, o in enumerate(OFFICES)
    }
    return Graph(neighbours, parents)


def ways(graph: Graph, question: Question, present: set[OfficeId]) -> list[OfficeId]:
    return rank_next_hops(question, graph, graph.distances(question.recipient), present)


subsets = st.sets(st.sampled_from(OFFICES))


@given(graphs(), st.permutations(OFFICES), st.integers(0, 6), subsets, subsets, st.booleans())
def test_next_hops_are_neighbours_outside_the_trail(
    graph: Graph, order: list[OfficeId], length: int, avoid: set[OfficeId], present: set[OfficeId], is_origin: bool
) -> None:
    me, recipient, trail = order[0], order[1], tuple(order[2 : 2 + length])
    found = ways(graph, Question(me, recipient, trail, avoid, is_origin), present)
    assert len(found) == len(set(found))
    assert set(found) <= graph.neighbours[me] - set(trail) - {me}
    tried_last = [office in avoid for office in found]
    assert tried_last == sorted(tried_last)
    if recipient in graph.neighbours[me]:
        assert recipient in found


@given(graphs(), st.data())
def test_a_copy_never_loops_and_arrives_where_the_graph_allows(graph: Graph, data: st.DataObject) -> None:
    """Each relay takes its best way; all are present and none was tried: distances fall to nought."""
    start, recipient = data.draw(st.permutations(OFFICES))[:2]
    distance = graph.distances(recipient).get(start)
    trail: tuple[OfficeId, ...] = ()
    at = start
    while at != recipient:
        found = ways(graph, Question(at, recipient, trail, (), is_origin=at == start), set(OFFICES))
        if not found:
            break
        trail = (*trail, at)
        at = found[0]
        assert at not in trail
    assert (at == recipient) == (distance is not None)
    assert at != recipient or len(trail) == distance
    assert len(trail) <= max(TRAIL_OFFICES, len(OFFICES))


def star(*absent: OfficeId) -> set[OfficeId]:
    return set(OFFICES) - set(absent)


def joined(*members: OfficeId) -> Graph:
    """Offices that all share one broker; PARENT is above OTHER."""
    neighbours = {o: frozenset(members) - {o} for o in members}
    return Graph(neighbours, {OTHER: PARENT, ME: FAR})


def test_a_present_recipient_is_asked_directly() -> None:
    assert ways(joined(ME, OTHER, PARENT), Question(ME, OTHER, (), (), is_origin=True), star()) == [OTHER]


def test_an_absent_recipients_parent_keeps_its_mail() -> None:
    graph = joined(ME, OTHER, PARENT, FAR, OFFICES[7])
    found = ways(graph, Question(ME, OTHER, (), (), is_origin=True), star(OTHER))
    assert found == [PARENT, FAR, OFFICES[7], OTHER]


def test_an_absent_parent_is_no_waypoint() -> None:
    found = ways(joined(ME, OTHER, PARENT, FAR), Question(ME, OTHER, (), (), is_origin=True), star(OTHER, PARENT))
    assert found == [FAR, OTHER]


def test_only_the_origin_uses_waypoints() -> None:
    found = ways(joined(ME, OTHER, PARENT, FAR), Question(ME, OTHER, (FAR,), (), is_origin=False), star(OTHER))
    assert found == [OTHER]


def test_a_silent_recipient_is_reached_through_others() -> None:
    found = ways(joined(ME, OTHER, PARENT, FAR), Question(ME, OTHER, (), (OTHER,), is_origin=True), star())
    assert found == [PARENT, FAR, OTHER]


def test_sideways_only_round_one_that_failed() -> None:
    near, level = OFFICES[4], OFFICES[5]
    neighbours = {ME: {near, level}, near: {ME, level, OTHER}, level: {ME, near, FAR}, FAR: {level, OTHER}}
    graph = Graph({**{o: frozenset(n) for o, n in neighbours.items()}, OTHER: frozenset({near, FAR})}, {})
    assert ways(graph, Question(ME, OTHER, (), (), is_origin=True), star()) == [near]
    assert ways(graph, Question(ME, OTHER, (), (near,), is_origin=True), star()) == [level, near]
    assert ways(graph, Question(ME, OTHER, (), (near, level), is_origin=True), star()) == [near, level]


@given(st.integers(0, 10_000), st.integers(1, 10**7), st.integers(0, 10**9))
def test_back_off_doubles_between_its_bounds(tries: int, minimum: int, more: int) -> None:
    wait = back_off_us(tries, minimum, minimum + more)
    assert minimum <= wait <= minimum + more
    assert wait <= back_off_us(tries + 1, minimum, minimum + more) <= max(2 * wait, minimum)


@given(graphs(), st.lists(st.tuples(st.sampled_from(OFFICES[1:]), subsets), min_size=1, max_size=12), subsets)
def test_remembered_rankings_are_those_of_the_whole_graph(
    graph: Graph, asked: list[tuple[OfficeId, set[OfficeId]]], present: set[OfficeId]
) -> None:
    routes = Routes(ME, graph, present)
    for recipient, avoid in asked:
        question = Question(ME, recipient, (), frozenset(avoid), is_origin=True)
        assert routes.rank(recipient, (), frozenset(avoid)) == ways(graph, question, present)


def test_g13_what_a_hub_remembers_of_the_ways_grows_with_brokers_and_not_with_offices() -> None:
    hub, cities = ME, OFFICES[1:4]
    counties = {city: [OfficeId(city[:8] + number.to_bytes(8, "big")) for number in range(100)] for city in cities}
    province = frozenset((hub, *cities))
    neighbours = {hub: province} | {city: province | frozenset(counties[city]) for city in cities}
    for city in cities:
        beside = frozenset((city, *counties[city]))
        neighbours |= dict.fromkeys(counties[city], beside)
    routes = Routes(hub, Graph(neighbours, {}), set(cities))
    for city in cities:
        for county in counties[city]:
            assert routes.rank(county, (), frozenset()) == [city]
    assert len(routes._distances) == len(cities)
    assert sum(map(len, routes._distances.values())) == len(cities) * len(province)


def test_ways_with_several_choices_are_ranked_by_presence_line_and_id() -> None:
    a, b, c, d = OFFICES[4:8]
    beside = dict.fromkeys((a, b, c, d), frozenset((ME, OTHER)))
    graph = Graph({ME: frozenset((a, b, c, d)), OTHER: frozenset((a, b, c, d)), **beside}, {ME: d, OTHER: c})
    question = Question(ME, OTHER, (), (), is_origin=True)
    assert ways(graph, question, star()) == [c, d, a, b]
    assert ways(graph, question, star(c, a)) == [d, b, c, a]
    assert ways(graph, Question(ME, OTHER, (a,), (d,), is_origin=False), star()) == [c, b, d]


def test_an_absent_recipients_mail_goes_to_its_parent_then_ours_whatever_their_ids() -> None:
    low, ours, its = OFFICES[4], OFFICES[7], OFFICES[8]
    members = (ME, OTHER, low, ours, its)
    graph = Graph({o: frozenset(members) - {o} for o in members}, {OTHER: its, ME: ours})
    assert ways(graph, Question(ME, OTHER, (), (), is_origin=True), star(OTHER)) == [its, ours, low, OTHER]


def test_offices_that_the_graph_does_not_know_have_no_ways() -> None:
    graph = Graph({ME: frozenset((PARENT, OTHER))}, {})
    assert graph.distances(FAR) == {FAR: 0}
    assert ways(graph, Question(ME, FAR, (), (), is_origin=True), star()) == []
    assert ways(graph, Question(FAR, ME, (), (), is_origin=True), star()) == []
    assert Routes(ME, graph, star()).rank(FAR, (), frozenset()) == []
    assert Routes(FAR, graph, star()).rank(ME, (), frozenset()) == []
    # A neighbour of which nobody knows with whom it shares brokers keeps nothing for the absent.
    assert ways(graph, Question(ME, OTHER, (), (), is_origin=True), star(OTHER)) == [OTHER]


class Counted(frozenset[OfficeId]):
    """A set that counts how often it was gone through."""

    turns = 0

    def __iter__(self) -> Iterator[OfficeId]:
        self.turns += 1
        return super().__iter__()


def test_g13_offices_on_one_broker_are_gone_through_once() -> None:
    members = Counted(OFFICES)
    assert Graph(dict.fromkeys(OFFICES, members), {}).distances(ME) == {o: int(o != ME) for o in OFFICES}
    assert members.turns == 1


def test_g13_rankings_are_remembered_and_their_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "REMEMBERED", 3)
    routes = Routes(ME, joined(*OFFICES), star())
    ranked = [routes.rank(office, (), frozenset()) for office in OFFICES[1:4]]
    assert all(
        routes.rank(office, (), frozenset()) is known for office, known in zip(OFFICES[1:4], ranked, strict=True)
    )
    routes.rank(OFFICES[5], (), frozenset())
    assert len(routes._ranked) <= 3
    again = routes.rank(OFFICES[5], (), frozenset())
    routes.forget()
    assert routes.rank(OFFICES[5], (), frozenset()) is not again
