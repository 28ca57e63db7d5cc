"""From a home on disk to the values that a relay runs on: keys, epoch, trust, prekeys."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from config.schema import Settings
from keys.files.keyfile import read_secret
from keys.files.private_files import erase
from keys.gm import require_gm
from keys.mldsa import SecondKey
from keys.prekeys import PrekeyRecord, parse_prekey, supersedes, verify_prekey
from keys.primitives import SUITE_SM2, PrekeyPrivate, hkdf
from keys.roster.directory import Directory
from keys.rows import RowCipher
from keys.signer import Signer
from keys.signing_key import open_private_key
from keys.trust.store import Trust
from protocol.errors import Refused, RemoteError
from protocol.ids import Epoch, OfficeId, StartId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import EPOCH_BYTES, RECORD_BYTES, START_BYTES
from relay.identity import Identity
from relay.keyring import Keyring
from relay.ports import Entropy, Store
from relay.store import counters, kept_clock, lives, prekeys, stopped
from relay.store.database import Txn
from relay.store.kept_clock import KeptClock

CLIENT_SECRET_BYTES: Final = 12

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Birth:
    """What a home remembers of itself: its life, how often it started, and the secret part of its client ids."""

    life: Life
    boot: int
    client_secret: str


def row_key(storage_key: bytes) -> bytes:
    """The key under which rows are sealed."""
    return hkdf(storage_key, b"relay/1/rows", 32)


def find_office(settings: Settings, trust: Trust) -> OfficeId:
    """The office that this home is for; raises `Refused` when home and directory do not belong together."""
    office = trust.directory.by_address(settings.office.address)
    if office is None:
        raise Refused(
            "BAD_CONFIG", f"{settings.office.address} is not in the network directory", field="office.address"
        )
    if settings.office.network != trust.directory.network:
        raise Refused("BAD_CONFIG", f"the directory is of network {trust.directory.network}", field="office.network")
    return office.id


def require_suites(directory: Directory) -> None:
    """Raises `Refused` SUITE_MISSING when the network allows a suite whose library is not installed here."""
    if SUITE_SM2 in directory.rules.suites:
        require_gm()


def read_signing_key(home: Path, storage_key: bytes, office: OfficeId, trust: Trust) -> Signer:
    """The office's key, which must be one that the directory names; raises `KeyFileError` or `Refused`."""
    key = open_private_key(home / "keys" / "identity.key", "identity", storage_key=storage_key)
    require_known(key, office, trust)
    return key


def require_known(key: Signer, office: OfficeId, trust: Trust) -> None:
    """Raises `Refused` BAD_KEYS unless the directory names the key for this office."""
    record = trust.directory.by_id(office)
    if record is None or key.key_id() not in {known.key_id for known in record.keys}:
        raise Refused("BAD_KEYS", "keys/identity.key is not a key of this office in the directory")


async def awake(store: Store, entropy: Entropy) -> Birth:
    """One more start of this home; recorded before anything is said in its name."""
    first = Life(Epoch(entropy.bytes(EPOCH_BYTES)))
    start = StartId(entropy.bytes(START_BYTES))
    secret = entropy.bytes(CLIENT_SECRET_BYTES).hex()
    return await store.write(Lane.FLASH, partial(_awake, first=first, start=start, secret=secret))


def _awake(txn: Txn, first: Life, start: StartId, secret: str) -> Birth:
    birth = Birth(
        lives.begin(txn, lives.recall(txn) or first, start, above=0),
        (counters.recall(txn, "boot") or 0) + 1,
        counters.recall(txn, "client_secret") or secret,
    )
    counters.remember(txn, "boot", birth.boot)
    counters.remember(txn, "client_secret", birth.client_secret)
    return birth


async def remembered_clock(store: Store) -> KeptClock | None:
    """What the last run believed of the clock; without it, or with a damaged row, the wall clock is believed anew."""
    return await store.read(kept_clock.kept)


def read_second_key(home: Path, storage_key: bytes) -> SecondKey | None:
    """The office's ML-DSA key, if the home has one; raises `KeyFileError`."""
    path = home / "keys" / "second.key"
    return SecondKey.from_seed(read_secret(path, "second", storage_key=storage_key)) if path.exists() else None


async def load_keyring(
    home: Path, storage_key: bytes, identity: Identity, trust: Trust, store: Store, now_us: int, keep_us: int
) -> Keyring:
    """Prekeys of the store, and on a first start those that came with the home.

    `keep_us`: how long after its validity the private half of our first one is kept.
    """
    await _import_own(home, storage_key, identity, trust, store, keep_us)
    await _import_others(home, identity, trust, store, now_us)
    return await read_keyring(store)


async def read_keyring(store: Store) -> Keyring:
    """The prekeys that the store holds."""
    own, records = await store.read(_read_prekeys)
    keyring = Keyring()
    for _, seed, record in own:
        parsed = parse_prekey(record)
        keyring.keep_own(parsed, PrekeyPrivate(parsed.suite, seed))
    for data in records:
        keyring.take(parse_prekey(data))
    return keyring


def newest_prekey(home: Path, storage_key: bytes) -> PrekeyRecord | None:
    """The newest prekey of a stopped home, None before its first run. Raises `HomeInUse`, `sqlite3.Error`."""
    cipher = RowCipher(row_key(storage_key))
    try:
        records = stopped.ask(home / "store", cipher, lambda txn: [record for _, _, record in prekeys.own(txn)])
    except FileNotFoundError:
        return None
    return max(map(parse_prekey, records), key=lambda record: record.epoch, default=None)


def _read_prekeys(txn: Txn) -> tuple[list[tuple[bytes, bytes, bytes]], list[bytes]]:
    return list(prekeys.own(txn)), prekeys.records(txn)


async def _import_own(
    home: Path, storage_key: bytes, identity: Identity, trust: Trust, store: Store, keep_us: int
) -> None:
    """Our first prekey: its private half lies in keys/ and its record in trust/prekeys/.

    The file is erased as soon as the store has it: of what is deleted there nothing may be left here (D7).
    """
    me = trust.directory.by_id(identity.office)
    if me is None:
        return
    record = _read_record(home / "trust" / "prekeys" / f"{me.call_sign}.cbor")
    if record is None:
        return
    path = home / "keys" / f"prekey-{record.epoch}.key"
    if path.is_file():
        seed = read_secret(path, "prekey", storage_key=storage_key)
        keep = partial(
            prekeys.keep_own, prekey_id=record.prekey_id, epoch=record.epoch,
            forget_us=record.not_after_us + keep_us, seed=seed, record=record.data,
        )  # fmt: skip
        await store.write(Lane.PRIORITY, keep)
        erase(path)


async def _import_others(home: Path, identity: Identity, trust: Trust, store: Store, now_us: int) -> None:
    """First prekeys of other offices that came with the home, where the store knows none as new."""
    known = {record.office_id: record for record in map(parse_prekey, await store.read(prekeys.records))}
    for path in sorted((home / "trust" / "prekeys").glob("*.cbor")):
        record = _read_record(path)
        if record is None or record.office_id == identity.office:
            continue
        held = known.get(record.office_id)
        if held is not None and held.rank >= record.rank:
            continue
        try:
            verified = verify_prekey(record.data, trust.directory, now_us)
            if not supersedes(verified, held):
                continue
        except RemoteError as error:
            _log.warning("prekey_file_not_taken", office=path.stem, code=error.code)
            continue
        await store.write(Lane.PRIORITY, partial(prekeys.keep, record=verified))


def _read_record(path: Path) -> PrekeyRecord | None:
    """A prekey record in a file, if there is a well-formed one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) > RECORD_BYTES:
        return None
    try:
        return parse_prekey(data)
    except RemoteError as error:
        _log.warning("prekey_file_not_taken", office=path.stem, code=error.code)
        return None
