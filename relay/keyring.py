"""Prekeys in use."""

from dataclasses import dataclass, field

from keys.prekeys import PrekeyRecord
from keys.primitives import PrekeyPrivate, PrekeyPublic
from protocol.ids import KeyId, OfficeId


@dataclass(slots=True)
class Keyring:
    """Prekeys in use: the others' current records, loaded once, and our own private halves by id."""

    records: dict[OfficeId, PrekeyRecord] = field(default_factory=dict)
    loaded: dict[KeyId, PrekeyPublic] = field(default_factory=dict)
    own: dict[KeyId, PrekeyPrivate] = field(default_factory=dict)
    own_record: PrekeyRecord | None = None

    def current(
        self, office: OfficeId, suites: tuple[int, ...], now_us: int
    ) -> tuple[PrekeyRecord, PrekeyPublic] | None:
        """The prekey to seal to now, or None while there is no valid one of an allowed suite (`awaiting_prekey`)."""
        record = self.records.get(office)
        if record is None or not record.valid_at(now_us) or record.suite not in suites:
            return None
        public = self.loaded.get(record.prekey_id)
        if public is None:
            public = self.loaded[record.prekey_id] = PrekeyPublic(record.suite, record.public)
        return record, public

    def drop(self, office: OfficeId) -> None:
        """Its record counts no more."""
        record = self.records.pop(office, None)
        if record is not None:
            self.loaded.pop(record.prekey_id, None)

    def keep_own(self, record: PrekeyRecord, private: PrekeyPrivate) -> None:
        """A prekey of our own, newer than those before."""
        self.own[record.prekey_id] = private
        self.own_record = record

    def take(self, record: PrekeyRecord) -> None:
        """A newer verified record of an office."""
        before = self.records.get(record.office_id)
        if before is not None:
            self.loaded.pop(before.prekey_id, None)
        self.records[record.office_id] = record
