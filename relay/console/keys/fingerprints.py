"""`keys fingerprint`: what two people compare by telephone, as digits, words, hexadecimal and a QR code."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from keys.spoken import digit_groups, hex_groups, words
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.commands import argument, command, option
from relay.console.keys.requests import carried
from relay.console.output import emit
from relay.console.phrases import say
from relay.given import read_given


@dataclass(frozen=True, slots=True)
class Shown:
    """One fingerprint: `kind` is request, office or root; `subject` says whose it is."""

    kind: str
    subject: str
    digest: bytes

    def as_object(self, lang: str) -> dict[str, Any]:
        """The members that programs read."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "fingerprint": self.digest.hex(),
            "digits": list(digit_groups(self.digest)),
            "words": list(words(self.digest, lang)),
        }


@command("keys fingerprint")
@argument("file", "[FILE]", required=False)
@option("--no-qr", is_flag=True)
def fingerprint(choices: Choices, file: str | None, no_qr: bool) -> None:
    """Show the fingerprint of a file, or of what is in this home."""
    for shown in [_of_file(file)] if file is not None else _of_home(choices.home):
        if choices.json:
            emit(shown.as_object(choices.lang))
        else:
            tell(shown, choices.lang, qr=not no_qr)


def tell(shown: Shown, lang: str, *, qr: bool) -> None:
    """Print a fingerprint for people: heading, words, digits, hexadecimal, QR code."""
    click.echo(say(f"fingerprint_{shown.kind}", lang, subject=shown.subject))
    said = words(shown.digest, lang)
    for at in range(0, len(said), 4):
        click.echo(
            "  " + "".join(f"{word:<20}" if lang == "en" else f"{word}　" for word in said[at : at + 4]).rstrip()
        )
    click.echo("  " + " ".join(digit_groups(shown.digest)))
    spaced = hex_groups(shown.digest)
    click.echo(f"  {spaced[:39]}\n  {spaced[40:]}")
    if qr:
        click.echo(_qr(f"YIZHAN:{shown.kind}:{shown.digest.hex()}".upper()), nl=False)


def _qr(text: str) -> str:
    """A QR code of half blocks."""
    import segno

    out = io.StringIO()
    segno.make_qr(text, error="m").terminal(out, border=2, compact=True)
    return out.getvalue()


def _of_file(name: str) -> Shown:
    """The fingerprint of a request or a root file; raises `Refused` BAD_REQUEST for anything else."""
    from keys.enrol.enrolment import parse_request
    from keys.trust.chain import verify_root
    from keys.trust.metadata import METADATA_BYTES

    data = read_given(Path(name), "file", METADATA_BYTES)
    with carried(name, "BAD_REQUEST"):
        if data[:1] == b"{":
            return Shown("root", _network_of(data), bytes.fromhex(verify_root(data)[1]))
        request = parse_request(data)
    return Shown("request", request.address, request.digest)


def _network_of(root: bytes) -> str:
    """What a root file says of itself; it was verified before."""
    signed = json.loads(root)["signed"]
    return f"{signed['version']}.root.json"


def _of_home(home: Path) -> list[Shown]:
    """The network's root for its administrator; for an office its keys and its root, or the request that it made."""
    if (home / "network").is_dir():
        from keys.ceremony.network import read_network

        with carried(str(home), "BAD_TRUST"):
            network = read_network(home)
        return [Shown("root", network.directory.network, bytes.fromhex(network.root_fingerprint))]
    if (home / "trust" / "root.json").exists():
        return _of_office(home)
    from keys.enrol.candidate import own_request

    request = own_request(home)
    return [
        Shown("request", request.address, request.digest),
        Shown("root", request.network, request.root),
    ]


def _of_office(home: Path) -> list[Shown]:
    """The keys in the home, unopened, and the root that it pinned."""
    from keys.files.keyfile import read_header
    from keys.roster.membership import office_fingerprint, second_key_id
    from keys.trust.chain import verify_root
    from keys.trust.metadata import METADATA_BYTES

    identity, second = (read_header(home / "keys" / f"{kind}.key") for kind in ("identity", "second"))
    root = read_given(home / "trust" / "root.json", "trust", METADATA_BYTES)
    with carried("trust/root.json", "BAD_TRUST"):
        pinned = verify_root(root)[1]
    if not identity.label:
        raise Refused("BAD_KEYS", "keys/identity.key does not say whose it is")
    return [
        Shown("office", identity.label, office_fingerprint(identity.public, second_key_id(second.public))),
        Shown("root", _network_of(root), bytes.fromhex(pinned)),
    ]
