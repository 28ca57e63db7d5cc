"""What an act changes, in lines that an administrator reads before signing it."""

from dataclasses import fields
from itertools import chain

from keys.act import Act, Files, newest_root, targets_of
from keys.directory import Directory
from keys.office_record import OfficeRecord
from keys.suspensions import decode_suspensions
from keys.trust.metadata import ROSTER_FILE, SUSPENSIONS_FILE, SUSPENSIONS_ROLE, fingerprint
from keys.trust.sitting import keys_of


def effects_of(files: Files, act: Act) -> list[str]:
    """One line for each office, rule, suspension or role that is another after the act, in English.

    Raises `TrustError` or `RemoteError` for an act whose files are malformed.
    """
    after = {**files, **act.files}
    return list(chain(_roles(files, after), _directory(files, after), _suspensions(files, after)))


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
    found = [f"+ {office.address} {office.name}" for id_, office in new.offices.items() if id_ not in old.offices]
    found += [f"- {office.address} {office.name}" for id_, office in old.offices.items() if id_ not in new.offices]
    for id_, office in new.offices.items():
        before = old.offices.get(id_)
        if before is not None and before != office:
            found.append(f"~ {before.address}: {_differences(before, office)}")
    found += [f"network: {old.network} -> {new.network}"] if old.network != new.network else []
    found += [f"rules: {old.rules} -> {new.rules}"] if old.rules != new.rules else []
    found += [f"groups: {' '.join(new.groups) or 'none'}"] if old.groups != new.groups else []
    return found


def _differences(before: OfficeRecord, after: OfficeRecord) -> str:
    names = [one.name for one in fields(OfficeRecord) if getattr(before, one.name) != getattr(after, one.name)]
    plain = [f"{name} {getattr(before, name)} -> {getattr(after, name)}" for name in names if name not in _LONG]
    return ", ".join([*plain, *(name for name in names if name in _LONG)])


_LONG = frozenset({"keys", "persons", "id", "parent", "successor"})


def _suspensions(files: Files, after: Files) -> list[str]:
    old = {one.office_id: one for one in decode_suspensions(files[SUSPENSIONS_FILE])}
    new = {one.office_id: one for one in decode_suspensions(after[SUSPENSIONS_FILE])}
    directory = Directory.decode(after[ROSTER_FILE])

    def name(id_: bytes) -> str:
        office = directory.by_id(id_)
        return id_.hex() if office is None else office.address

    found = [f"suspended: {name(id_)}, {one.reason}" for id_, one in new.items() if old.get(id_) != one]
    return found + [f"no longer suspended: {name(id_)}" for id_ in old if id_ not in new]
