"""What ends, and when: keys, certificates and signed files, so that they are renewed before anybody notices.

Pure: files come as bytes, the time as an argument. Who renews what: DESIGN D7, D8 and the administrator's manual.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keys import tls
from keys.mldsa import MLDSA
from keys.prekeys import PrekeyRecord
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord
from keys.trust.terms import role_terms
from protocol.limits import SECOND_US

SHORT_LIFE_US: Final = 60 * 86_400 * SECOND_US
"""What lives shorter (prekeys 45 days, timestamps 7) is renewed unattended, and would always be due a month ahead."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something of limited validity. `name` says whose or which, "" where there is only one; times in microseconds.

    `since_us` is None where the file does not say since when it is valid.
    """

    until_us: int
    what: str
    name: str = ""
    since_us: int | None = None

    def due(self, within_us: int, now_us: int) -> bool:
        """Whether it ends within this time. What is short-lived and renews itself, when half of its life is over."""
        life_us = SHORT_LIFE_US if self.since_us is None else self.until_us - self.since_us
        early_us = within_us if life_us >= SHORT_LIFE_US else min(within_us, life_us // 2)
        return now_us >= self.until_us - early_us

    def as_object(self, within_us: int, now_us: int) -> dict[str, Any]:
        """Its members in JSON, but for the times."""
        return {
            "what": self.what,
            "name": self.name,
            "due": self.due(within_us, now_us),
            "past": now_us >= self.until_us,
        }


def office_expiries(office: OfficeRecord, now_us: int, name: str = "") -> Iterator[Expiry]:
    """The keys of an office: of each kind the one that ends last, since an older one beside it need not be renewed;
    and its persons that are valid now, or were until lately.
    """
    kinds = {"identity": [key for key in office.keys if key.suite != MLDSA]}
    kinds["second"] = [key for key in office.keys if key.suite == MLDSA]
    for what, keys in kinds.items():
        left = [key for key in keys if key.revoked_since_us is None or key.revoked_since_us > now_us]
        if left:
            last = max(left, key=lambda key: key.not_after_us)
            yield Expiry(last.not_after_us, what, name, last.not_before_us)
    for person in office.persons:
        if person.revoked_since_us is None or person.revoked_since_us > now_us:
            whose = f"{name} {person.name}".strip()
            yield Expiry(person.not_after_us, "person", whose, person.not_before_us)


def network_expiries(directory: Directory, now_us: int) -> Iterator[Expiry]:
    """The keys and persons of every office that is not revoked, for the network's administrator."""
    for office in directory.offices.values():
        if office.state != "revoked":
            yield from office_expiries(office, now_us, office.address)


def trust_expiries(files: Mapping[str, bytes]) -> Iterator[Expiry]:
    """The signed files of the network: the newest root, targets, snapshot, timestamp. Raises `TrustError`."""
    for role, (since_us, until_us) in role_terms(files).items():
        yield Expiry(until_us, role, "", since_us)


def certificate_expiry(what: str, certificate: bytes, name: str = "") -> Expiry:
    """A PEM certificate: `tls` of an office, `tls_ca` of the network, `broker` of a broker. Raises `ValueError`."""
    return Expiry(tls.expires_us(certificate), what, name, tls.begins_us(certificate))


def prekey_expiry(record: PrekeyRecord) -> Expiry:
    """The newest prekey of the office, which its daemon renews by itself."""
    return Expiry(record.not_after_us, "prekey", "", record.not_before_us)
