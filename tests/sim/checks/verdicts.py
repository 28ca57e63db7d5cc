"""G1, G8, G9, G16: what senders are told, against what really happened."""

from typing import TYPE_CHECKING, Any

from protocol.limits import SECOND_US
from relay.store import lost
from relay.store import sent as sent_table
from relay.times import parse_time_us
from tests.relay.office_store import state_of
from tests.sim.broken import Broken
from tests.sim.facts import Sent

if TYPE_CHECKING:
    from tests.sim.history import History

VERDICTS = ("delivered", "refused", "expired", "unconfirmed")
ARRIVED = ("delivered", "opened", "signed_for", "returned")
KNOWS_US = 180 * SECOND_US
"""G9: so long after the expiry the sender knows."""
OFF_US = 50 * SECOND_US
"""How far a clock may be off without having jumped; by such a clock messages are dated, and expire."""


def check_stories(
    history: "History", stories: dict[str, dict[str, Any]], accepted: dict[tuple[str, str], Sent], *, healed: bool
) -> None:
    """Every accepted (message, recipient), `accepted` taken before the senders were asked.

    G1: its sender knows it, unless it was restored to what it was before; while it has no verdict its content is kept.
    G7: what is called delivered is in the inbox, unless a restore took it from there. G8: one verdict; `expired` is not
    in the recipient's inbox, and either was never published or is remembered there as dead, which it stays. When
    `healed`: it has its verdict, unless it is of a revoked office or for it, and none was given up early (G16).
    """
    for (message_id, to), sent in accepted.items():
        story = stories.get(message_id)
        if story is None:
            if history.may_be_lost(sent.sender, sent.at_us):
                continue
            raise Broken("G1", f"{sent.sender} forgot {message_id}")
        (recipient,) = [one for one in story["recipients"] if history.seat_of(one["to"]) == to]
        _check_verdict(recipient, message_id, sent)
        _check_arrival(history, recipient, message_id, sent, healed=healed)
        if not recipient["final"]:
            must_end = healed and not history.exempt(sent.sender, to)
            _check_unfinished(history, recipient, message_id, sent, healed=must_end)
        ends_us = parse_time_us(story["expires_at"], field="expires_at")
        if healed and ends_us > history.now_us + OFF_US and recipient["state"] in ("expired", "unconfirmed"):
            raise Broken("G1", f"{message_id} was given up as {recipient['state']} before its time")


def _check_verdict(recipient: dict[str, Any], message_id: str, sent: Sent) -> None:
    types = [event["type"] for event in recipient["events"]]
    verdicts = [type_ for type_ in types if type_ in VERDICTS]
    if len(verdicts) > 1:
        raise Broken("G8", f"{message_id} to {sent.to} has verdicts {verdicts}")
    if recipient["final"] and not verdicts and not {"opened", "signed_for", "returned"} & set(types):
        raise Broken("G8", f"{message_id} is final without a verdict: {types}")


def _check_arrival(history: "History", recipient: dict[str, Any], message_id: str, sent: Sent, *, healed: bool) -> None:
    raw = bytes.fromhex(message_id.replace("-", ""))
    from_id = history.offices[sent.sender].seat.office
    there = history.offices[sent.to].look(lambda txn: state_of(txn, from_id, raw))
    # A row that rotted is asked for again; until it comes the office knows that it had the message.
    is_lost = history.may_be_lost(sent.to, sent.at_us)
    asked_again = not healed and history.offices[sent.to].look(lambda txn: lost.of(txn, from_id, raw)) is not None
    if recipient["state"] in ARRIVED and there in (None, "dead") and not (asked_again or is_lost):
        raise Broken("G7", f"{message_id} is {recipient['state']} and not in the inbox of {sent.to}")
    if recipient["state"] != "expired":
        return
    if there not in (None, "dead"):
        raise Broken("G8", f"{message_id} is called expired and is in the inbox of {sent.to}")
    published = (message_id, history.offices[sent.to].seat.office) in history.begun
    if published and there != "dead" and not is_lost:
        raise Broken("G8", f"{message_id} is called expired although it was sent and {sent.to} never said so")


def _check_unfinished(
    history: "History", recipient: dict[str, Any], message_id: str, sent: Sent, *, healed: bool
) -> None:
    sender = history.offices[sent.sender]
    if healed:
        events = [(event["type"], event["by"]) for event in recipient["events"]]
        raise Broken(
            "G16", f"{message_id} from {sent.sender} to {sent.to} is {recipient['state']} after healing: {events}"
        )
    raw = bytes.fromhex(message_id.replace("-", ""))
    if not sender.look(lambda txn: sent_table.message(txn, raw) is not None):
        raise Broken("G1", f"{message_id} has no verdict and nobody holds it")
    expired_us = sent.at_us + int(sent.lives_s * SECOND_US)
    undisturbed_us = max(expired_us, sender.disturbed_us)
    if sender.running and history.time.us > undisturbed_us + KNOWS_US:
        raise Broken("G9", f"{sent.sender} does not know what became of {message_id}, expired long ago")
