"""G2, G3, G9: what programs are handed. Judged at each take, and on the inboxes at the end."""

from typing import TYPE_CHECKING, Any

from protocol.ids import message_id_text
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History


def check_taken(history: "History", by: str, one: dict[str, Any]) -> None:
    """G3: somebody tried to send exactly this to exactly this office. G2: it comes as new for the first time,
    but for a home that was restored and has not been told of it yet.
    """
    key = (one["id"], by)
    sent = history.tried.get(key)
    if sent is None:
        raise Broken("G3", f"{by} got {one['id']}, which nobody sent it")
    if (one["body"], one["title"], history.seat_of(one["from"])) != (sent.body, sent.title, sent.sender):
        raise Broken("G3", f"{by} got another text than was sent")
    if "redelivered" not in one["flags"]:
        history.taken_as_new[key] += 1
        # A restored home that has met nobody cannot know what it handed out in the life that is lost (G12).
        if history.taken_as_new[key] > 1 and not history.is_unaware(by):
            raise Broken("G2", f"{by} took {one['id']} twice as new")


def check_inboxes(history: "History") -> None:
    """G9: no message entered an inbox after its expiry, by the clock of the office that took it in.
    G3: nothing is there that nobody sent.
    """
    expiries = {(copy.sender, copy.message_id): copy.expires_us for copy in history.copies.values()}
    for address, office in history.offices.items():
        rows = office.look(
            lambda txn: txn.connection.execute(
                "SELECT sender, message_id, received_us FROM inbox WHERE state NOT IN ('refused', 'dead')"
            ).fetchall()
        )
        for sender, message_id, received_us in rows:
            if (message_id_text(message_id), address) not in history.tried:
                raise Broken("G3", f"the inbox of {address} holds {message_id.hex()}, which nobody sent it")
            if received_us >= expiries[sender, message_id]:
                raise Broken("G9", f"{address} took in {message_id.hex()} after its expiry")
