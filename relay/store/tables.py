"""Every sealed table by name; the columns are those of migrations/."""

from typing import Final

from relay.store.sealed_table import SealedTable

META: Final = SealedTable("meta", key=("name",))
COUNTERS: Final = SealedTable("counters", key=("name",), clear=("value",))
STATISTICS: Final = SealedTable("statistics", key=("day",))
SENT: Final = SealedTable(
    "sent", key=("message_id",), clear=("accepted_us", "expires_us", "lane", "fingerprint", "bare", "size")
)
RECIPIENTS: Final = SealedTable(
    "recipients",
    key=("message_id", "office"),
    clear=("stage", "state", "lane", "number", "expires_us", "deadline_us", "begun", "asked_us", "again_us"),
)
NUMBERS: Final = SealedTable("numbers", key=("office", "lane"), clear=("next",))
EVENTS: Final = SealedTable("events", key=("seq",), clear=("message_id", "office", "type", "at_us"))
PROOFS: Final = SealedTable("proofs", key=("digest",), clear=("at_us",))
HELD: Final = SealedTable(
    "held",
    key=("digest",),
    clear=(
        "seq", "kind", "lane", "origin", "recipient", "message_id", "size", "own", "share", "since_us", "expires_us",
    ),
)  # fmt: skip
PASSED: Final = SealedTable("passed", key=("digest",), clear=("forget_us",))
INBOX: Final = SealedTable(
    "inbox",
    key=("sender", "message_id"),
    clear=(
        "seq", "state", "lane", "received_us", "witnessed_us", "handed_us", "handed_start", "acked", "done_us", "flags",
        "digest", "copy_digest", "size", "forget_us",
    ),
)  # fmt: skip
RECEIPTS: Final = SealedTable(
    "receipts", key=("sender", "message_id", "type"), clear=("at_us", "copy_digest", "again_us")
)
STREAMS: Final = SealedTable("streams", key=("sender", "lane", "epoch"), clear=("began_us", "told_us", "untold_us"))
WITNESSES: Final = SealedTable("witnesses", key=("office",))
PREKEYS: Final = SealedTable("prekeys", key=("office",), clear=("epoch",))
OWN_PREKEYS: Final = SealedTable("own_prekeys", key=("prekey_id",), clear=("epoch", "forget_us"))
AUDIT_HEADS: Final = SealedTable("audit_heads", key=("office",))
QUARANTINE: Final = SealedTable("quarantine", key=("seq",), clear=("at_us", "size", "code"))

ALL: Final = (
    META, COUNTERS, STATISTICS, SENT, RECIPIENTS, NUMBERS, EVENTS, PROOFS, HELD, PASSED, INBOX, RECEIPTS, STREAMS,
    WITNESSES, PREKEYS, OWN_PREKEYS, AUDIT_HEADS, QUARANTINE,
)  # fmt: skip
"""What `fsck` opens."""
