"""The directory as the outbox needs it: who shares a broker with whom, who is whose parent (D2)."""

from collections.abc import Collection

from keys.roster.directory import Directory
from protocol.ids import OfficeId
from protocol.routing import Graph


def graph_of(
    directory: Directory, me: OfficeId, suspended: Collection[OfficeId] = ()
) -> tuple[Graph, dict[OfficeId, tuple[str, ...]]]:
    """The graph of offices neither revoked nor suspended, and the brokers that `me` shares with each neighbour.

    Offices on the same brokers share one set of neighbours (which then names the office itself too), so that 1,500
    offices on one broker cost one set and not two million pairs.
    """
    members: dict[str, set[OfficeId]] = {}
    out = {*suspended} - {me}
    living = [one for one in directory.offices.values() if one.state != "revoked" and one.id not in out]
    for office in living:
        for broker in office.brokers:
            members.setdefault(broker, set()).add(office.id)
    sets: dict[tuple[str, ...], frozenset[OfficeId]] = {}
    neighbours: dict[OfficeId, frozenset[OfficeId]] = {}
    for office in living:
        if office.brokers not in sets:
            sets[office.brokers] = frozenset().union(*(members[broker] for broker in office.brokers))
        neighbours[office.id] = sets[office.brokers]
    parents = {office.id: office.parent for office in living}
    shared = {office: brokers for office, brokers in directory.neighbours(me).items() if office not in out}
    return Graph(neighbours, parents), shared
