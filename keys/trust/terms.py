"""How long the signed files of a network are valid, by role."""

from collections.abc import Mapping
from typing import Final

from tuf.api.metadata import Root, Signed, Snapshot, Targets, Timestamp

from keys.trust.metadata import SNAPSHOT, TARGETS, TIMESTAMP, issued_us, parse, root_file, root_version, time_us

_FILES: Final[Mapping[str, tuple[str, type[Signed]]]] = {
    "targets": (TARGETS, Targets),
    "snapshot": (SNAPSHOT, Snapshot),
}


def role_terms(files: Mapping[str, bytes]) -> dict[str, tuple[int | None, int]]:
    """(valid since, valid until) in microseconds, of the newest root, targets, snapshot and timestamp.

    Only a timestamp says since when: the others are renewed long before half of their time is over. Roles whose file
    is missing are left out. Raises `TrustError` TRUST_MALFORMED.
    """
    terms: dict[str, tuple[int | None, int]] = {}
    versions = [version for name in files if (version := root_version(name)) is not None]
    if versions:
        name = root_file(max(versions))
        terms["root"] = None, time_us(parse(Root, files[name], name).signed.expires)
    for role, (name, kind) in _FILES.items():
        if name in files:
            terms[role] = None, time_us(parse(kind, files[name], name).signed.expires)
    if TIMESTAMP in files:
        timestamp = parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed
        terms["timestamp"] = issued_us(timestamp), time_us(timestamp.expires)
    return terms
