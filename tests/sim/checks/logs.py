"""G15: the audit log of every home verifies against its store and its neighbours, unless somebody edited it; then it
does not. Judged at the end, after kills, power cuts and restores.
"""

from typing import TYPE_CHECKING

from keys.signing import UnverifiedRecord
from protocol.audit import Mark
from protocol.limits import RECORD_BYTES
from protocol.presence import decode_presence
from relay.audit.check import Anchor, Walk, check_folder, head_verifier
from relay.audit.keeper import recall_mark
from relay.store import audit_heads, lives
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.office import OfficeProcess


def check_logs(history: "History") -> None:
    """Whether each log was edited is found out from the files, the store's mark and what neighbours remember."""
    for address, office in history.offices.items():
        if not office.boots:
            continue
        problems = _problems(history, office)
        if problems and address not in history.edited:
            raise Broken("G15", f"nobody touched the audit log of {address}: {problems}")
        if address in history.edited and not problems:
            raise Broken("G15", f"nobody noticed that the audit log of {address} was edited")
        history.counts["lines"] += office.look(recall_mark).count


def _problems(history: "History", office: "OfficeProcess") -> list[str]:
    """What a check finds, and what the running relay calls wrong unless it was restored to what neighbours remember."""
    stored = office.look(recall_mark)
    anchors = [Anchor("the store", stored)] if stored.count else []
    if not history.is_unaware(office.seat.address):
        anchors += _remembered(history, office)
    check = check_folder(office.log, Walk(head_verifier(office.directory, office.seat.office), anchors), stored)
    for _ in check.slices():
        pass
    alarmed = office.keeper.problems if office.running and not office.restores else ()
    return [*check.report().problems, *alarmed]


def _remembered(history: "History", office: "OfficeProcess") -> list[Anchor]:
    """The heads that it signed in this life and that others keep."""
    epoch = office.look(lives.epoch)
    anchors = []
    for address, other in history.offices.items():
        for signer, _, record in other.look(audit_heads.remembered):
            presence = decode_presence(UnverifiedRecord(record, max_bytes=RECORD_BYTES).payload)
            if signer == office.seat.office and presence.moment.epoch == epoch:
                anchors.append(Anchor(address, Mark(presence.audit_count, presence.audit_head)))
    return anchors
