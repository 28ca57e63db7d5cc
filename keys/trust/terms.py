"""How long the signed files of a network are valid, by role."""

from collections.abc import Mapping

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from keys.times import time_us
from keys.trust.metadata import SNAPSHOT, TARGETS, TIMESTAMP, issued_us, parse, root_file, root_version


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
    if TARGETS in files:
        terms["targets"] = None, time_us(parse(Targets, files[TARGETS], TARGETS).signed.expires)
    if SNAPSHOT in files:
        terms["snapshot"] = None, time_us(parse(Snapshot, files[SNAPSHOT], SNAPSHOT).signed.expires)
    if TIMESTAMP in files:
        timestamp = parse(Timestamp, files[TIMESTAMP], TIMESTAMP).signed
        terms["timestamp"] = issued_us(timestamp), time_us(timestamp.expires)
    return terms
