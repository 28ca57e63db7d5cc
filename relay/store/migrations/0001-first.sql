-- The first schema. Rows are sealed (relay/store/sealed_table.py); clear columns are what queries need.

CREATE TABLE meta (
    name TEXT PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

CREATE TABLE counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

-- What was counted on each day since 1970-01-01 (UTC).
CREATE TABLE statistics (
    day INTEGER PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

-- What this office accepted to send. The body holds the signed bundle; bare 1: only its signed record (retention).
-- size: of the body; a start counts it from an index, without reading rows (start.sql).
CREATE TABLE sent (
    message_id BLOB PRIMARY KEY, accepted_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, lane INTEGER NOT NULL,
    fingerprint BLOB NOT NULL, bare INTEGER NOT NULL, size INTEGER NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX sent_accepted ON sent (accepted_us, lane, size);
CREATE INDEX sent_bare ON sent (bare, accepted_us);

-- One row per (message, recipient): stage -1 waits for a prekey, 0 to be sealed, 1 on its way, 2 final. asked_us: when a
-- tombstone was first made for it; again_us: when it is to be sent again, until the recipient answers.
CREATE TABLE recipients (
    message_id BLOB NOT NULL, office BLOB NOT NULL, stage INTEGER NOT NULL, state TEXT NOT NULL,
    lane INTEGER NOT NULL, number INTEGER NOT NULL, expires_us INTEGER NOT NULL, deadline_us INTEGER,
    begun INTEGER NOT NULL, asked_us INTEGER, again_us INTEGER, row_version INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (message_id, office)
) STRICT;
CREATE INDEX recipients_stage ON recipients (stage, lane) WHERE stage < 2;
CREATE INDEX recipients_waiting ON recipients (office, stage) WHERE stage = -1;
CREATE INDEX recipients_expiry ON recipients (expires_us) WHERE stage < 2 AND asked_us IS NULL;
CREATE INDEX recipients_asked ON recipients (asked_us) WHERE stage < 2 AND asked_us IS NOT NULL;
CREATE INDEX recipients_again ON recipients (again_us) WHERE again_us IS NOT NULL;

-- The next number per (recipient, lane) in this home's epoch (G4).
CREATE TABLE numbers (
    office BLOB NOT NULL, lane INTEGER NOT NULL, next INTEGER NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (office, lane)
) STRICT;

-- What happened, in order; never changed. The body holds who said it, and the signed record.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, message_id BLOB NOT NULL, office BLOB NOT NULL, type TEXT NOT NULL,
    at_us INTEGER NOT NULL, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX events_message ON events (message_id, office);

-- Signed frame records that prove custody; shared by all the parcels that one frame acknowledged.
CREATE TABLE proofs (
    digest BLOB PRIMARY KEY, at_us INTEGER NOT NULL, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX proofs_at ON proofs (at_us);

-- Parcels in this relay's custody: own copies until the verdict, others' until onward custody. share: the office whose
-- share of the room it takes, x'' for this one.
CREATE TABLE held (
    digest BLOB PRIMARY KEY, seq INTEGER NOT NULL, kind INTEGER NOT NULL, lane INTEGER NOT NULL,
    origin BLOB NOT NULL, recipient BLOB NOT NULL, message_id BLOB NOT NULL, size INTEGER NOT NULL,
    own INTEGER NOT NULL, share BLOB NOT NULL, since_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX held_lane ON held (lane, seq);
CREATE INDEX held_way ON held (lane, recipient, seq);
CREATE INDEX held_message ON held (message_id, recipient);
CREATE INDEX held_origin ON held (origin, digest);
CREATE INDEX held_expiry ON held (expires_us, share, lane, size);

-- Parcels that went on: their digests answer duplicates until nobody can send them again.
CREATE TABLE passed (
    digest BLOB PRIMARY KEY, forget_us INTEGER NOT NULL, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX passed_forget ON passed (forget_us);

-- Messages for this office, and the memory of refused, purged and dead ones. done_us: when a whole
-- one was acknowledged or decided, from which its retention counts. witnessed_us: since when somebody other than its
-- sender has had it (G14). handed_start: which start of this home handed it out last.
CREATE TABLE inbox (
    sender BLOB NOT NULL, message_id BLOB NOT NULL, seq INTEGER NOT NULL, state TEXT NOT NULL, lane INTEGER NOT NULL,
    received_us INTEGER NOT NULL, witnessed_us INTEGER NOT NULL, handed_us INTEGER, handed_start INTEGER, acked INTEGER NOT NULL, done_us INTEGER, flags INTEGER NOT NULL,
    digest BLOB NOT NULL, copy_digest BLOB NOT NULL, size INTEGER NOT NULL, forget_us INTEGER NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (sender, message_id)
) STRICT;
CREATE UNIQUE INDEX inbox_seq ON inbox (seq);
CREATE INDEX inbox_copy ON inbox (copy_digest, sender, lane, size);
CREATE INDEX inbox_id ON inbox (message_id);
CREATE INDEX inbox_waiting ON inbox (lane, seq) WHERE acked = 0;
CREATE INDEX inbox_done ON inbox (done_us) WHERE done_us IS NOT NULL;
CREATE INDEX inbox_refused ON inbox (forget_us) WHERE state = 'refused';
CREATE INDEX inbox_purged ON inbox (forget_us) WHERE state = 'purged';
CREATE INDEX inbox_dead ON inbox (forget_us) WHERE state = 'dead';
CREATE INDEX inbox_handed ON inbox (handed_us) WHERE acked = 0 AND handed_us IS NOT NULL;
CREATE INDEX inbox_state ON inbox (state, seq);

-- Receipts that this office made as a recipient: a duplicate is answered with the same bytes. copy_digest: of the copy as
-- which one left that travels sealed; its reader names it by that when it has it, or cannot open it. again_us: when such
-- a one is sent again, until its reader has it.
CREATE TABLE receipts (
    sender BLOB NOT NULL, message_id BLOB NOT NULL, type TEXT NOT NULL, at_us INTEGER NOT NULL, copy_digest BLOB,
    again_us INTEGER, row_version INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (sender, message_id, type)
) STRICT;
CREATE INDEX receipts_copy ON receipts (copy_digest) WHERE copy_digest IS NOT NULL;
CREATE INDEX receipts_again ON receipts (again_us) WHERE again_us IS NOT NULL;

-- Numbers seen per (sender, lane, sender epoch), for gaps (G4). told_us, untold_us: since when the oldest hole is open
-- that people were told of, and the oldest that they were not.
CREATE TABLE streams (
    sender BLOB NOT NULL, lane INTEGER NOT NULL, epoch BLOB NOT NULL, began_us INTEGER NOT NULL,
    told_us INTEGER, untold_us INTEGER, row_version INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (sender, lane, epoch)
) STRICT;
CREATE INDEX streams_told ON streams (told_us) WHERE told_us IS NOT NULL;
CREATE INDEX streams_untold ON streams (untold_us) WHERE untold_us IS NOT NULL;

-- The highest moment of each neighbour's life, with the record that proves it (G12).
CREATE TABLE witnesses (
    office BLOB PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

-- Other offices' current prekeys, and our own with their private halves.
CREATE TABLE prekeys (
    office BLOB PRIMARY KEY, epoch INTEGER NOT NULL, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE TABLE own_prekeys (
    prekey_id BLOB PRIMARY KEY, epoch INTEGER NOT NULL, forget_us INTEGER NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

-- The newest audit head of each neighbour, with the presence record that proves it (G15).
CREATE TABLE audit_heads (
    office BLOB PRIMARY KEY, row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;

-- What could not be verified: a ring, for inspection.
CREATE TABLE quarantine (
    seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, size INTEGER NOT NULL, code TEXT NOT NULL,
    row_version INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX quarantine_size ON quarantine (seq, size);
