"""The certificates that the network's authority has issued, as files, so that those that ended early can be listed.

    ROOT/tls/issued/NAME-SERIAL.pem       in use; NAME is an office's address or a broker's host
    ROOT/tls/withdrawn/NAME-SERIAL.pem    withdrawn one by one, after a theft of its key
    ROOT/tls/crl.pem                      the list for brokers: withdrawn ones, and all of offices that are revoked

Nothing here is secret. Messages never depend on it (D8): a stolen certificate lets its thief knock at brokers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.files.private_files import fsync_directory, make_private_directory, replace, write_new
from keys.tls import Authority, Subject, subject_of
from protocol.errors import Refused

LIST_FILE: Final = "tls/crl.pem"
_ISSUED: Final = "tls/issued"
_WITHDRAWN: Final = "tls/withdrawn"


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate on record."""

    path: Path
    subject: Subject


def keep_certificate(root_dir: Path, certificate: bytes) -> Path:
    """Put a certificate (PEM) on record; where. Raises `OSError`; `ValueError` for no certificate."""
    path = root_dir / _ISSUED / _file_name(subject_of(certificate))
    if not path.exists():
        write_new(path, certificate)
    return path


def issued_certificates(root_dir: Path) -> list[Issued]:
    """What is on record and not withdrawn, by name. Raises `Refused` FILE_UNREADABLE, `OSError`."""
    return _read(root_dir / _ISSUED)


def withdraw_certificates(root_dir: Path, name: str) -> list[Issued]:
    """Withdraw every certificate on record for this name or serial number (hexadecimal); those that were.

    Raises `Refused` NOT_FOUND when there is none, `OSError`.
    """
    found = [each for each in issued_certificates(root_dir) if name in (each.subject.name, f"{each.subject.serial:x}")]
    if not found:
        raise Refused("NOT_FOUND", f"no certificate of {name} is on record", field="name")
    target = root_dir / _WITHDRAWN
    make_private_directory(target)
    for each in found:
        each.path.rename(target / each.path.name)
    fsync_directory(target)
    return found


def write_revocation_list(
    root_dir: Path, authorities: Sequence[Authority], revoked: Collection[str], now_us: int
) -> list[Subject]:
    """Make ROOT/tls/crl.pem anew, with a list by each authority; the certificates on it.

    On it is what was withdrawn, and what offices of the addresses `revoked` hold, unless it has run out anyway. An
    authority without a list would let nobody in; one that lists another's certificates does no harm.
    Raises `Refused` FILE_UNREADABLE, `OSError`.
    """
    ended = [each.subject for each in _read(root_dir / _WITHDRAWN)]
    ended += [each.subject for each in issued_certificates(root_dir) if each.subject.name in revoked]
    listed = [subject for subject in ended if subject.expires_us > now_us]
    serials = [subject.serial for subject in listed]
    replace(root_dir / LIST_FILE, b"".join(authority.revocation_list(serials) for authority in authorities))
    return listed


def _file_name(subject: Subject) -> str:
    """A name without separators: host names and addresses have none, and others are not issued."""
    return f"{subject.name.replace('/', '_')}-{subject.serial:x}.pem"


def _read(folder: Path) -> list[Issued]:
    found = []
    for path in sorted(folder.glob("*.pem")):
        try:
            found.append(Issued(path, subject_of(path.read_bytes())))
        except ValueError as error:
            raise Refused("FILE_UNREADABLE", f"{path}: {error}", field=str(path)) from None
    return found
