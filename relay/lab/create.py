"""A whole network in one directory: root, directory, homes, certificates, brokers (CONTRACT sections 4 and 11).

Everything is made under a hidden name beside the target and renamed at the end, so that a lab that was interrupted
never looks like one that can be used.
"""

import os
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from config.load import parse
from config.problems import ConfigError, Problem
from config.schema import HOME_VERSION
from keys import tls
from keys.ceremony.authorities import found_authority
from keys.ceremony.certificates import keep_certificate
from keys.ceremony.network import Network, init_network
from keys.enrol.office_home import OfficeSecrets, furnish, keep_first_prekey, keep_secrets, keep_tls
from keys.files.keyfile import LAB_COST, write_secret
from keys.files.private_files import make_private_directory, whole_directory, write_new
from keys.gm import require_gm
from keys.prekeys import PrekeyRecord, make_prekey
from keys.primitives import SUITE_SM2, algorithm_of
from keys.roster.directory import Directory, Rules
from keys.roster.membership import office_keys
from keys.roster.office_record import OfficeRecord, Person
from keys.signing_key import make_private_key
from keys.tls import LOOPBACK_NAMES, Authority
from keys.trust.store import TrustStore
from protocol.ids import Address, NetworkId, OfficeId
from protocol.limits import NETWORK_ID_BYTES, OFFICE_ID_BYTES, SECOND_US
from relay.brokers import mosquitto, nats
from relay.brokers.site import Site, write_tls
from relay.given import read_passphrase
from relay.lab.plan import BrokerPlan, OfficePlan, Plan, load_plan
from relay.lab.toml_text import merged, toml_text

_DAY_US: Final = 86_400 * SECOND_US

KEY_LIFE_US: Final = 730 * _DAY_US
"""Validity of the signing keys and persons of a lab."""

KEY_SLACK_US: Final = _DAY_US
"""Signing keys begin a day early, for drills with clocks that are wrong."""

TLS_DAYS: Final = 730

LISTEN: Final = "127.0.0.1"

OWN_SECTIONS: Final = ("home_version", "office", "brokers", "network")
"""What the lab writes into relay.toml itself and a plan's settings may not change."""

_ENGINES: Final[Mapping[str, Callable[[Site, Path], list[str]]]] = {"mosquitto": mosquitto.write, "nats": nats.write}


@dataclass(frozen=True, slots=True)
class LabReport:
    """What was made; all paths are absolute. What to run is in `brokers` (by id) and `daemons` (by address)."""

    directory: str
    network: str
    root_fingerprint: str
    network_office: str
    root_home: str
    homes: dict[str, str]
    persons: tuple[str, ...]
    brokers: dict[str, tuple[str, ...]]
    daemons: dict[str, tuple[str, ...]]

    def commands(self) -> tuple[str, ...]:
        """What to run, a line of shell each: every broker, then every daemon."""
        return tuple(shlex.join(argv) for argv in (*self.brokers.values(), *self.daemons.values()))


@dataclass(frozen=True, slots=True)
class _Office:
    """An office while it is made; secrets stay in memory until they are sealed into its home."""

    plan: OfficePlan
    record: OfficeRecord
    secrets: OfficeSecrets
    prekey_seed: bytes
    settings: str


def create_lab(plan_path: Path, directory: Path, passphrase_file: Path | None = None) -> LabReport:
    """Make the network of the plan in `directory`, which must not exist or be empty.

    The passphrase of root keys and persons is the first line of `passphrase_file`, by default a random one; it is
    kept in the file `passphrase` of DIR/root. Raises `ConfigError` BAD_PLAN with all faults of the plan, `Refused`
    FILE_EXISTS, BROKER_MISSING, SUITE_MISSING, or BAD_FIELD for an empty passphrase; `OSError`. After a failure
    nothing is left.
    """
    plan = load_plan(plan_path)
    if SUITE_SM2 in plan.rules.suites:
        require_gm()
    settings = _settings(plan)
    target = Path(os.path.realpath(directory))
    passphrase = secrets.token_urlsafe(24).encode() if passphrase_file is None else read_passphrase(passphrase_file)
    with whole_directory(target, "directory") as building:
        return _build(plan, settings, building, target, passphrase)


def _build(plan: Plan, settings: Mapping[str, str], building: Path, target: Path, passphrase: bytes) -> LabReport:
    """All files under `building`, written so that they are right once it is called `target`."""
    now_us = time.time_ns() // 1000
    network_id = NetworkId(secrets.token_bytes(NETWORK_ID_BYTES))
    persons = _write_persons(plan, building, passphrase, now_us)
    offices = _make_offices(plan, settings, persons, now_us)
    network = _write_root(plan, offices, network_id, building, passphrase, now_us)
    authority = found_authority(
        building / "root", plan.network, passphrase, secrets.token_bytes, days=TLS_DAYS, cost=LAB_COST
    )
    brokers = {broker.id: tuple(_write_broker(broker, plan, authority, building, target)) for broker in plan.brokers}
    prekeys = {
        office.record.address: make_prekey(
            office.secrets.identity,
            network_id=network_id,
            office_id=office.record.id,
            suite=plan.rules.suites[0],
            seed=office.prekey_seed,
            now_us=now_us,
            second=office.secrets.second,
        )
        for office in offices
    }
    for office in offices:
        home = building / "offices" / office.record.address
        _write_home(home, office, network, authority, prekeys, now_us)
    homes = {office.address: str(target / "offices" / office.address) for office in plan.offices}
    return LabReport(
        directory=str(target),
        network=plan.network,
        root_fingerprint=network.root_fingerprint,
        network_office=network_office(plan),
        root_home=str(target / "root"),
        homes=homes,
        persons=tuple(str(target / "persons" / _key_file(person.office, person.name)) for person in plan.persons),
        brokers=brokers,
        daemons={address: ("relay", "--home", home, "run") for address, home in homes.items()},
    )


def network_office(plan: Plan) -> Address:
    """The office whose daemon publishes the network directory: the first of class province, else the first."""
    first = next((office for office in plan.offices if office.office_class == "province"), plan.offices[0])
    return Address(first.address)


def _settings(plan: Plan) -> dict[str, str]:
    """The text of every office's relay.toml, checked; raises `ConfigError` BAD_PLAN with the faults of all of them."""
    texts: dict[str, str] = {}
    problems: dict[Problem, None] = {}
    for where, given in (("", plan.settings), *((office.address, office.settings) for office in plan.offices)):
        for name in (name for name in OWN_SECTIONS if name in given):
            problems[Problem("wrong", name, f"is made by the lab{' for ' + where if where else ''}")] = None
    if problems:
        raise ConfigError(list(problems), "BAD_PLAN")
    for office in plan.offices:
        own = {
            "home_version": HOME_VERSION,
            "office": {"address": office.address, "network": plan.network},
            "brokers": [_connection(broker, office) for broker in plan.brokers if broker.id in office.brokers],
        }
        text = toml_text(merged(merged(own, plan.settings), office.settings))
        try:
            parse(text.encode())
        except ConfigError as error:
            # The line would be one of a file that nobody has seen.
            problems |= dict.fromkeys(replace(problem, line=None) for problem in error.problems)
        texts[office.address] = text
    if problems:
        raise ConfigError(list(problems), "BAD_PLAN")
    return texts


def _connection(broker: BrokerPlan, office: OfficePlan) -> dict[str, Any]:
    """A broker as one office's relay.toml has it."""
    return _place(broker, office.connect.get(broker.id) or broker.connect_port or broker.port)


def _place(broker: BrokerPlan, port: int) -> dict[str, Any]:
    """Where relays reach a broker."""
    return {"id": broker.id, "engine": broker.engine, "host": LISTEN, "port": port, "tls": broker.tls}


def _key_file(office: str, name: str) -> str:
    return f"{office}-{name}.key"


def _write_persons(plan: Plan, building: Path, passphrase: bytes, now_us: int) -> dict[str, list[Person]]:
    """Every person's sealed key; the persons' records by office."""
    records: dict[str, list[Person]] = {}
    for person in plan.persons:
        key = make_private_key(algorithm_of(plan.rules.suites[0]), secrets.token_bytes(32))
        write_secret(
            building / "persons" / _key_file(person.office, person.name),
            "person",
            key.seed(),
            passphrase=passphrase,
            entropy=secrets.token_bytes,
            label=f"{person.office} {person.name}",
            public=key.public(),
            cost=LAB_COST,
        )
        record = Person.of(person.name, person.roles, key.public(), now_us - KEY_SLACK_US, now_us + KEY_LIFE_US)
        records.setdefault(person.office, []).append(record)
    return records


def _make_offices(
    plan: Plan, settings: Mapping[str, str], persons: Mapping[str, list[Person]], now_us: int
) -> list[_Office]:
    """New keys and the directory record of every office."""
    ids = {office.address: OfficeId(secrets.token_bytes(OFFICE_ID_BYTES)) for office in plan.offices}
    offices = []
    for office in plan.offices:
        own = OfficeSecrets.make(secrets.token_bytes, algorithm_of(plan.rules.suites[0]))
        record = OfficeRecord(
            id=ids[office.address],
            address=Address(office.address),
            name=office.name or office.address,
            office_class=office.office_class,
            parent=ids[office.parent] if office.parent is not None else None,
            standing=office.standing,
            brokers=office.brokers,
            keys=office_keys(
                own.identity.suite,
                own.identity.public(),
                own.second.public(),
                now_us - KEY_SLACK_US,
                now_us + KEY_LIFE_US,
            ),
            persons=tuple(persons.get(office.address, ())),
        )
        offices.append(_Office(office, record, own, secrets.token_bytes(32), settings[office.address]))
    return offices


def _write_root(
    plan: Plan, offices: list[_Office], network_id: NetworkId, building: Path, passphrase: bytes, now_us: int
) -> Network:
    """The administrator's directory: passphrase, relay.toml, root keys, and the first signed network directory."""
    ids = {office.record.address: office.record.id for office in offices}
    directory = Directory(
        network_id=network_id,
        network=plan.network,
        version=1,
        issued_us=now_us,
        offices={office.record.id: office.record for office in offices},
        rules=Rules(
            frozenset(plan.rules.require_reviewer),
            frozenset(plan.rules.require_issuer),
            plan.rules.emergency_bypass,
            plan.rules.suites,
        ),
        groups={name: tuple(ids[Address(member)] for member in members) for name, members in plan.groups.items()},
    )
    root = building / "root"
    write_new(root / "passphrase", passphrase)
    address = network_office(plan)
    settings = {
        "home_version": HOME_VERSION,
        "office": {"address": address, "network": plan.network},
        "brokers": [_place(broker, broker.connect_port or broker.port) for broker in plan.brokers],
        "network": {"office_home": f"../offices/{address}"},
    }
    write_new(root / "relay.toml", toml_text(settings).encode())
    return init_network(
        root, directory, now_us, unlock=lambda _label: passphrase, entropy=secrets.token_bytes, cost=LAB_COST
    )


def _write_broker(broker: BrokerPlan, plan: Plan, authority: Authority, building: Path, target: Path) -> list[str]:
    """The folder of one broker; its command."""
    members = tuple(Address(office.address) for office in plan.offices if broker.id in office.brokers)
    site = Site(broker.id, target / "brokers" / broker.id, LISTEN, broker.port, broker.tls, members)
    folder = building / "brokers" / broker.id
    if broker.tls:
        server = authority.issue_server(LOOPBACK_NAMES, days=TLS_DAYS)
        write_tls(folder, authority.credential.certificate, server, authority.issue_spare(days=TLS_DAYS))
    return _ENGINES[broker.engine](site, folder)


def _write_home(
    home: Path,
    office: _Office,
    network: Network,
    authority: Authority,
    prekeys: Mapping[Address, PrekeyRecord],
    now_us: int,
) -> None:
    """One office's home, ready for its first `relay run`."""
    address = office.record.address
    furnish(home)
    storage_key = keep_secrets(home, address, office.secrets, secrets.token_bytes)
    keep_first_prekey(home, address, prekeys[address], office.prekey_seed, storage_key, secrets.token_bytes)
    certificate = authority.certify(tls.public_of(office.secrets.tls_key), address, days=TLS_DAYS)
    keep_tls(home, certificate, authority.credential.certificate)
    keep_certificate(home.parents[1] / "root", certificate)
    TrustStore.install(home, network.files, now_us)
    make_private_directory(home / "trust" / "prekeys")
    for owner, record in prekeys.items():
        _write_quickly(home / "trust" / "prekeys" / f"{owner}.cbor", record.data)
    write_new(home / "relay.toml", office.settings.encode())


def _write_quickly(path: Path, data: bytes) -> None:
    """A new file of mode 0600 without fsync: n offices have n² of these, and a lab is made again after a power cut."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
