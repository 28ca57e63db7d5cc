"""What an act changes, in lines that an administrator reads before signing it."""

from dataclasses import fields
from itertools import chain

from keys.ceremony.act import Act, Files, newest_root, targets_of
from keys.roster.changes import Change
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from keys.roster.suspensions import decode_suspensions
from keys.trust.metadata import ROSTER_FILE, SUSPENSIONS_FILE, SUSPENSIONS_ROLE, fingerprint, tuf_time
from keys.trust.sitting import keys_of
from protocol.ids import OfficeId


def effects_of(files: Files, act: Act) -> list[str]:
    """One line for each office, rule, suspension or role that is another after the act, in English.

    Raises `TrustError` or `RemoteError` for an act whose files are malformed.
    """
    after = {**files, **act.files}
    return list(chain(_roles(files, after), _directory(files, after), _suspensions(files, after, act.at_us)))


def _roles(files: Files, after: Files) -> list[str]:
    old, new = newest_root(files), newest_root(after)
    found = []
    for role in ("root", "targets", "snapshot", "timestamp"):
        before, now = keys_of(old, role), keys_of(new, role)
        thresholds = old.roles[role].threshold, new.roles[role].threshold
        if before.keys() != now.keys() or thresholds[0] != thresholds[1]:
            gone = [before[id_].label or id_[:16] for id_ in before if id_ not in now]
            come = [now[id_].label or id_[:16] for id_ in now if id_ not in before]
            found.append(
                f"role {role}: -{' -'.join(sorted(gone))} +{' +'.join(sorted(come))}, {thresholds[1]} must sign"
            )
    if fingerprint(old) != fingerprint(new):
        found.append(f"root fingerprint: {fingerprint(new)}")
    brakes = [keys_of(targets_of(one), SUSPENSIONS_ROLE).keys() for one in (files, after)]
    if brakes[0] != brakes[1]:
        found.append(f"role suspensions: {len(brakes[1] - brakes[0])} new keys, {len(brakes[0] - brakes[1])} go")
    return found


def _directory(files: Files, after: Files) -> list[str]:
    if files[ROSTER_FILE] == after[ROSTER_FILE]:
        return []
    old, new = Directory.decode(files[ROSTER_FILE]), Directory.decode(after[ROSTER_FILE])
    found = [
        f"+ {office.address} {office.name}: {', '.join(_holdings(None, office))}"
        for id_, office in new.offices.items()
        if id_ not in old.offices
    ]
    found += [f"- {office.address} {office.name}" for id_, office in old.offices.items() if id_ not in new.offices]
    for id_, office in new.offices.items():
        before = old.offices.get(id_)
        if before is not None and before != office:
            found.append(f"~ {before.address}: {_differences(before, office)}")
    found += [f"+ {_planned(new, one)}" for one in new.changes if one not in old.changes]
    found += [f"- {_planned(old, one)}" for one in old.changes if one not in new.changes]
    found += [f"network: {old.network} -> {new.network}"] if old.network != new.network else []
    for name in (one.name for one in fields(Rules)):
        earlier, now = getattr(old.rules, name), getattr(new.rules, name)
        found += [f"rule {name}: {_words(earlier)} -> {_words(now)}"] if earlier != now else []
    for name in sorted({*old.groups, *new.groups}):
        left, came = (
            {*one.groups.get(name, ())} - {*other.groups.get(name, ())} for one, other in ((old, new), (new, old))
        )
        parts = [f"-{_named(old, id_)}" for id_ in sorted(left)] + [f"+{_named(new, id_)}" for id_ in sorted(came)]
        found += [f"group {name}: {' '.join(parts)}"] if parts else []
    return found


def _planned(directory: Directory, change: Change) -> str:
    """A change of an office, in force from its date on."""
    before, then = directory.at(change.from_us - 1), directory.at(change.from_us)
    office = before.offices[change.office_id]
    above = [f"{name} {_named(then, getattr(change, name))}" for name in ("parent", "successor")
             if getattr(change, name) != getattr(office, name)]  # fmt: skip
    parts = ", ".join(part for part in (_differences(office, then.offices[change.office_id], _PLACE), *above) if part)
    return f"{office.address} from {tuf_time(change.from_us):%Y-%m-%dT%H:%M:%SZ} on: {parts}"


def _named(directory: Directory, office_id: OfficeId | None) -> str:
    office = None if office_id is None else directory.by_id(office_id)
    return "none" if office is None else office.address


def _differences(before: OfficeRecord, after: OfficeRecord, among: frozenset[str] | None = None) -> str:
    names = [one.name for one in fields(OfficeRecord) if getattr(before, one.name) != getattr(after, one.name)]
    names = [name for name in names if name not in _HELD and (among is None or name in among)]
    values = [(name, getattr(before, name), getattr(after, name)) for name in names if name not in _LONG]
    plain = [f"{name} {_words(old)} -> {_words(new)}" for name, old, new in values]
    return ", ".join([*plain, *(name for name in names if name in _LONG), *_holdings(before, after)])


def _holdings(before: OfficeRecord | None, after: OfficeRecord) -> list[str]:
    """The keys and persons that come, go or change: whoever signs must see whose they are and from when they count."""
    held: dict[str, OfficeKey | Person] = {} if before is None else _by_name(before)
    holds = _by_name(after)
    found = [f"-{name}" for name in held if name not in holds]
    changed = [(name, one) for name, one in holds.items() if held.get(name) != one]
    return found + [f"{'~' if name in held else '+'}{name}{_worth(one)}" for name, one in changed]


def _worth(one: OfficeKey | Person) -> str:
    """For what a key counts, until when, and since when it does not."""
    roles = f" as {'/'.join(one.roles)}" if isinstance(one, Person) else ""
    since = (
        "" if one.revoked_since_us is None else f", revoked since {tuf_time(one.revoked_since_us):%Y-%m-%dT%H:%M:%SZ}"
    )
    return f"{roles} until {tuf_time(one.not_after_us):%Y-%m-%d}{since}"


def _by_name(office: OfficeRecord) -> dict[str, OfficeKey | Person]:
    """Keys and persons by what tells them apart: a person has a name, and perhaps several keys of different times."""
    keys: dict[str, OfficeKey | Person] = {f"key {key.key_id.hex()}": key for key in office.keys}
    return keys | {f"{person.name} {person.key_id.hex()}": person for person in office.persons}


def _words(value: object) -> str:
    """One value as people read it: several are listed, none is said."""
    if isinstance(value, frozenset | tuple):
        return " ".join(sorted(map(str, value))) or "none"
    return "none" if value is None else str(value)


_LONG = frozenset({"id", "parent", "successor"})
_HELD = frozenset({"keys", "persons"})
_PLACE = frozenset({"address", "name", "office_class", "standing"})


def _suspensions(files: Files, after: Files, at_us: int) -> list[str]:
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
        f"suspended until {tuf_time(one.until_us):%Y-%m-%dT%H:%M:%SZ}: {name(id_)}, {one.reason}"
        for id_, one in other.items()
        if one.until_us > at_us
    ]
    return found + [f"no longer suspended: {name(id_)}" for id_ in ended]
