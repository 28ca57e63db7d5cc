"""What an act changes, in lines that an administrator reads before signing it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import chain
from types import MappingProxyType
from typing import Final

from keys.ceremony.act import Act, Files, newest_root, short_id, targets_of
from keys.roster.changes import Change
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from keys.roster.suspensions import decode_suspensions
from keys.times import utc_text, utc_time
from keys.trust.metadata import ROSTER_FILE, SUSPENSIONS_FILE, SUSPENSIONS_ROLE, fingerprint
from keys.trust.sitting import keys_of
from protocol.ids import OfficeId

_LONG = frozenset({"id", "parent", "successor"})
_TOLD = frozenset({"keys", "persons", "revoked_since_us"})
_PLACE = frozenset({"address", "name", "office_class", "standing"})

ENGLISH: Final = MappingProxyType(
    {
        "role": "role {role}: {changes}, {threshold} must sign",
        "fingerprint": "root fingerprint: {fingerprint}",
        "suspensions": "role suspensions: {come} new keys, {go} go",
        "network": "network: {old} -> {new}",
        "rule": "rule {name}: {old} -> {new}",
        "group": "group {name}: {changes}",
        "planned": "{office} from {at} on: {changes}",
        "key": "key {id}",
        "as": " as {roles}",
        "until": " until {day}",
        "since": "revoked since {at}",
        "suspended": "suspended until {at}: {office}, {reason}",
        "lifted": "no longer suspended: {office}",
        "none": "none",
    }
)
"""What the lines say, by kind. The names of fields and rules may have words of their own, too."""

Words = Mapping[str, str]


def effects_of(files: Files, act: Act, words: Words = ENGLISH) -> list[str]:
    """One line for each office, rule, suspension or role that is another after the act, in these words.

    Raises `TrustError` or `RemoteError` for an act whose files are malformed.
    """
    after = {**files, **act.files}
    writer = _Writer(words)
    return list(
        chain(writer.roles(files, after), writer.directory(files, after), writer.suspensions(files, after, act.at_us))
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Finds what is another, and says it in `words`."""

    words: Words

    def roles(self, files: Files, after: Files) -> list[str]:
        old, new = newest_root(files), newest_root(after)
        found = []
        for role in ("root", "targets", "snapshot", "timestamp"):
            before, now = keys_of(old, role), keys_of(new, role)
            thresholds = old.roles[role].threshold, new.roles[role].threshold
            if before.keys() != now.keys() or thresholds[0] != thresholds[1]:
                gone = [before[id_].label or short_id(id_) for id_ in before if id_ not in now]
                come = [now[id_].label or short_id(id_) for id_ in now if id_ not in before]
                changes = f"-{' -'.join(sorted(gone))} +{' +'.join(sorted(come))}"
                found.append(self.words["role"].format(role=role, changes=changes, threshold=thresholds[1]))
        if fingerprint(old) != fingerprint(new):
            found.append(self.words["fingerprint"].format(fingerprint=fingerprint(new)))
        brakes = [keys_of(targets_of(one), SUSPENSIONS_ROLE).keys() for one in (files, after)]
        if brakes[0] != brakes[1]:
            counts = {"come": len(brakes[1] - brakes[0]), "go": len(brakes[0] - brakes[1])}
            found.append(self.words["suspensions"].format(**counts))
        return found

    def directory(self, files: Files, after: Files) -> list[str]:
        if files[ROSTER_FILE] == after[ROSTER_FILE]:
            return []
        old, new = Directory.decode(files[ROSTER_FILE]), Directory.decode(after[ROSTER_FILE])
        found = [
            f"+ {office.address} {office.name}: {', '.join(self.holdings(None, office))}"
            for id_, office in new.offices.items()
            if id_ not in old.offices
        ]
        found += [f"- {office.address} {office.name}" for id_, office in old.offices.items() if id_ not in new.offices]
        for id_, office in new.offices.items():
            before = old.offices.get(id_)
            if before is not None and before != office:
                found.append(f"~ {before.address}: {self.differences(before, office)}")
        found += [f"+ {self.planned(new, one)}" for one in new.changes if one not in old.changes]
        found += [f"- {self.planned(old, one)}" for one in old.changes if one not in new.changes]
        found += [self.words["network"].format(old=old.network, new=new.network)] if old.network != new.network else []
        for name in (one.name for one in fields(Rules)):
            earlier, now = getattr(old.rules, name), getattr(new.rules, name)
            if earlier != now:
                rule = {"name": self.field(name), "old": self.value(earlier), "new": self.value(now)}
                found.append(self.words["rule"].format(**rule))
        for name in sorted({*old.groups, *new.groups}):
            left, came = (
                {*one.groups.get(name, ())} - {*other.groups.get(name, ())} for one, other in ((old, new), (new, old))
            )
            parts = [f"-{self.named(old, id_)}" for id_ in sorted(left)]
            parts += [f"+{self.named(new, id_)}" for id_ in sorted(came)]
            found += [self.words["group"].format(name=name, changes=" ".join(parts))] if parts else []
        return found

    def planned(self, directory: Directory, change: Change) -> str:
        """A change of an office, in force from its date on."""
        before, then = directory.at(change.from_us - 1), directory.at(change.from_us)
        office = before.offices[change.office_id]
        above = [f"{self.field(name)} {self.named(then, getattr(change, name))}" for name in ("parent", "successor")
                 if getattr(change, name) != getattr(office, name)]  # fmt: skip
        own = self.differences(office, then.offices[change.office_id], _PLACE)
        changes = ", ".join(part for part in (own, *above) if part)
        return self.words["planned"].format(office=office.address, at=utc_text(change.from_us), changes=changes)

    def named(self, directory: Directory, office_id: OfficeId | None) -> str:
        office = None if office_id is None else directory.by_id(office_id)
        return self.words["none"] if office is None else office.address

    def differences(self, before: OfficeRecord, after: OfficeRecord, among: frozenset[str] | None = None) -> str:
        names = [one.name for one in fields(OfficeRecord) if getattr(before, one.name) != getattr(after, one.name)]
        names = [name for name in names if name not in _TOLD and (among is None or name in among)]
        values = [(name, getattr(before, name), getattr(after, name)) for name in names if name not in _LONG]
        plain = [f"{self.field(name)} {self.value(old)} -> {self.value(new)}" for name, old, new in values]
        since = [] if before.revoked_since_us == after.revoked_since_us else [self.since(after.revoked_since_us)]
        links = [self.field(name) for name in names if name in _LONG]
        return ", ".join([*plain, *since, *links, *self.holdings(before, after)])

    def holdings(self, before: OfficeRecord | None, after: OfficeRecord) -> list[str]:
        """The keys and persons that come, go or change: whoever signs must see whose they are, and when they count."""
        held: dict[str, OfficeKey | Person] = {} if before is None else self.named_holds(before)
        holds = self.named_holds(after)
        found = [f"-{name}" for name in held if name not in holds]
        changed = [(name, one) for name, one in holds.items() if held.get(name) != one]
        return found + [f"{'~' if name in held else '+'}{name}{self.worth(one)}" for name, one in changed]

    def worth(self, one: OfficeKey | Person) -> str:
        """For what a key counts, until when, and since when it does not."""
        roles = self.words["as"].format(roles="/".join(one.roles)) if isinstance(one, Person) else ""
        until = self.words["until"].format(day=f"{utc_time(one.not_after_us):%Y-%m-%d}")
        since = "" if one.revoked_since_us is None else f", {self.since(one.revoked_since_us)}"
        return roles + until + since

    def since(self, revoked_us: int | None) -> str:
        at = self.words["none"] if revoked_us is None else utc_text(revoked_us)
        return self.words["since"].format(at=at)

    def field(self, name: str) -> str:
        return self.words.get(name, name)

    def named_holds(self, office: OfficeRecord) -> dict[str, OfficeKey | Person]:
        """Keys and persons by what tells them apart: a person may have several keys of different times."""
        called = self.words["key"].format
        keys: dict[str, OfficeKey | Person] = {called(id=key.key_id.hex()): key for key in office.keys}
        return keys | {f"{person.name} {person.key_id.hex()}": person for person in office.persons}

    def value(self, value: object) -> str:
        """One value as people read it: several are listed, none is said."""
        if isinstance(value, frozenset | tuple):
            return " ".join(sorted(map(str, value))) or self.words["none"]
        return self.words["none"] if value is None else str(value)

    def suspensions(self, files: Files, after: Files, at_us: int) -> list[str]:
        old = {one.office_id: one for one in decode_suspensions(files[SUSPENSIONS_FILE])}
        new = {one.office_id: one for one in decode_suspensions(after[SUSPENSIONS_FILE])}
        directory = Directory.decode(after[ROSTER_FILE])

        def name(id_: bytes) -> str:
            office = directory.by_id(id_)
            return id_.hex() if office is None else office.address

        other = {id_: one for id_, one in new.items() if old.get(id_) != one}
        ended = [id_ for id_, one in other.items() if one.until_us <= at_us]
        ended += [id_ for id_, one in old.items() if id_ not in new and one.until_us > at_us]
        found = [
            self.words["suspended"].format(at=utc_text(one.until_us), office=name(id_), reason=one.reason)
            for id_, one in other.items()
            if one.until_us > at_us
        ]
        return found + [self.words["lifted"].format(office=name(id_)) for id_ in ended]
