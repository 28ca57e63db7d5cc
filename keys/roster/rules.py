"""What the network demands of everybody, changed by its administrators: allowed suites, approvals, the way round.

Pure. Suites are named by the network and negotiated by nobody: one that is taken away counts no more from the moment
an office has the directory, for what was signed before as well (SPEC "Suite 3").
"""

from dataclasses import dataclass, replace

from keys.primitives import SUITES
from keys.roster.directory import EMERGENCY_BYPASSES, Directory
from protocol.errors import Refused
from protocol.lanes import KINDS


@dataclass(frozen=True, slots=True)
class RulesChange:
    """What becomes of each rule; None leaves it as it is. An `emergency_bypass` of "none" ends the one in force."""

    suites: tuple[int, ...] | None = None
    require_reviewer: frozenset[str] | None = None
    require_issuer: frozenset[str] | None = None
    emergency_bypass: str | None = None


def change_rules(directory: Directory, change: RulesChange, now_us: int, *, cut_off: bool = False) -> Directory:
    """The directory under other rules; the same again for the same change.

    Raises `Refused` BAD_FIELD for a suite, kind or bypass that does not exist, and, unless `cut_off`, for suites that
    leave an active office without a signing key that counts.
    """
    rules = directory.rules
    if change.suites is not None:
        unknown = [suite for suite in change.suites if suite not in SUITES]
        if unknown or not change.suites:
            raise Refused("BAD_FIELD", f"suites are some of {', '.join(map(str, SUITES))}", field="suite")
        rules = replace(rules, suites=tuple(sorted(set(change.suites))))
    if change.require_reviewer is not None:
        rules = replace(rules, require_reviewer=_known(change.require_reviewer, "require_reviewer"))
    if change.require_issuer is not None:
        rules = replace(rules, require_issuer=_known(change.require_issuer, "require_issuer"))
    if change.emergency_bypass is not None:
        bypass = None if change.emergency_bypass == "none" else change.emergency_bypass
        if bypass not in EMERGENCY_BYPASSES:
            raise Refused("BAD_FIELD", f"no bypass is called {bypass!r}", field="emergency_bypass")
        rules = replace(rules, emergency_bypass=bypass)
    changed = replace(directory, rules=rules)
    lost = sorted(set(_speaking(directory, now_us)) - set(_speaking(changed, now_us)))
    if lost and not cut_off:
        named = ", ".join(lost[:5]) + (", …" if len(lost) > 5 else "")
        raise Refused("BAD_FIELD", f"{len(lost)} offices have no key of an allowed suite: {named}", field="suite")
    return changed


def _known(kinds: frozenset[str], field: str) -> frozenset[str]:
    """The kinds, if there are no others among them; raises `Refused` BAD_FIELD."""
    if not kinds <= set(KINDS):
        raise Refused("BAD_FIELD", f"no kind is called {min(kinds - set(KINDS))!r}", field=field)
    return kinds


def _speaking(directory: Directory, now_us: int) -> list[str]:
    """The addresses of the offices that have a key whose signature counts now."""
    return [
        office.address
        for office in directory.offices.values()
        if any(key.valid_at(now_us) and directory.allows(key.suite) for key in office.keys) and office.state == "active"
    ]
