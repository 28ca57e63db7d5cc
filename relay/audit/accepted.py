"""Damage of the audit log that an operator has looked at: it stays damage, and sounds no alarm any more (G15).

Each problem is accepted by itself, so that whatever is damaged later sounds again. That it was accepted, by whom and
when, is in the log, under a signed head.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Final

from relay.audit.check import PROBLEMS_LISTED
from relay.store import counters
from relay.store.database import Txn

_NAME: Final = "audit_accepted"
_GROWS: Final = re.compile(r"the log ends at line \d+, ")
"""What a problem says that is another at each check, since the log goes on."""

Accepted = frozenset[bytes]
"""Digests of the problems that were accepted."""


def recall_accepted(txn: Txn) -> Accepted:
    """What was accepted; nothing where that row is damaged."""
    return frozenset(counters.recall(txn, _NAME) or ())


def remember_accepted(txn: Txn, problems: Sequence[str]) -> Accepted:
    """These problems are known, and no others."""
    accepted = frozenset(map(_digest, problems))
    counters.remember(txn, _NAME, sorted(accepted))
    return accepted


def not_accepted(problems: Sequence[str], accepted: Collection[bytes]) -> tuple[str, ...]:
    """The problems that nobody has accepted: all of them where a report could not name every one."""
    if len(problems) >= PROBLEMS_LISTED:
        return tuple(problems)
    return tuple(one for one in problems if _digest(one) not in accepted)


def digest_of(problems: Sequence[str]) -> str:
    """What stands for a list of problems in the log, in hexadecimal."""
    return hashlib.sha256("\n".join(problems).encode()).hexdigest()


def _digest(problem: str) -> bytes:
    return hashlib.sha256(_GROWS.sub("", problem).encode()).digest()
