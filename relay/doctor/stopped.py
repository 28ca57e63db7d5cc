"""The command looks at a home that nobody runs: as much as can be seen without changing anything."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

from config.problems import ConfigError
from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError
from keys.rows import RowDamaged
from keys.trust.metadata import TrustError
from keys.trust.store import Trust, TrustStore
from protocol.errors import Refused, RemoteError
from relay.audit.offline import judge_opened
from relay.doctor.files import look_at_files
from relay.doctor.finding import Finding
from relay.doctor.running import judge_audit, judge_key, judge_office, judge_prekey, judge_trust, judge_validity
from relay.fsck import check_store
from relay.opening import find_office, newest_prekey
from relay.safe import Safe, nobody_hears
from relay.store.database import HomeInUse
from relay.validity import WITHIN_US, objects, of_office

Opened: TypeAlias = Callable[[], Safe]


def examine_stopped(home: Path, unlock: Unlock) -> Iterator[Finding]:
    """Everything that can be seen of a stopped relay. Raises `OSError` where we may not look."""
    now_us = time.time_ns() // 1_000
    yield Finding("daemon", "FAIL", "DAEMON_DOWN")
    yield from look_at_files(home, None)
    safe = _opened(home, unlock)
    yield _tried("store", "STORE_UNREADABLE", partial(_store, home, safe))
    try:
        store = TrustStore(home)
        trust = store.load(now_us)
    except (TrustError, RemoteError) as error:
        yield Finding("trust", "FAIL", "TRUST_UNREADABLE", str(error))
        return
    yield _tried("keys", "KEYS_UNREADABLE", partial(_keys, home, safe, trust, now_us))
    yield _tried("office", "KEYS_UNREADABLE", partial(_office, home, trust, now_us))
    yield judge_trust(trust.state(now_us), trust.age_us(now_us) // 1_000_000, trust.damaged)
    yield _tried("prekey", "STORE_UNREADABLE", partial(_prekey, home, safe, now_us))
    yield _tried("validity", "KEYS_UNREADABLE", partial(_validity, home, trust, store.publishable_files(), now_us))
    yield _clock(trust, now_us)
    yield _tried("audit", "AUDIT_UNREADABLE", partial(_audit, home, safe))


def _tried(check: str, code: str, look: Callable[[], Finding]) -> Finding:
    """What a look found; a look that is not possible is a finding, too."""
    try:
        return look()
    except ConfigError:
        return Finding(check, "WARN", "NOT_LOOKED", "the settings are wrong")
    except HomeInUse:
        return Finding(check, "FAIL", "STORE_HELD")
    except FileNotFoundError:
        return Finding(check, "PASS", "NEVER_RAN")
    except Refused as refused:
        if refused.code == "FILE_MISSING":
            return Finding(check, "PASS", "NEVER_RAN")
        if refused.code == "HOME_IN_USE":
            return Finding(check, "FAIL", "STORE_HELD")
        return Finding(check, "FAIL", code, f"{refused.code}: {refused.detail}")
    except (KeyFileError, sqlite3.Error, RowDamaged, RemoteError) as error:
        return Finding(check, "FAIL", code, str(error))


def _opened(home: Path, unlock: Unlock) -> Opened:
    """The keys, opened once for all looks, or why not: a PIN is not tried again for each."""
    try:
        safe = Safe(home, unlock, nobody_hears)
    except (KeyFileError, Refused, ConfigError) as error:
        return partial(_fail, error)
    return lambda: safe


def _fail(error: Exception) -> NoReturn:
    raise error


def _store(home: Path, safe: Opened) -> Finding:
    report = check_store(home, safe().storage_key)
    damaged = sum(table["damaged"] for table in report["tables"].values())
    if report["integrity"]:
        return Finding("store", "FAIL", "STORE_PAGES", report["integrity"][0])
    if damaged or report["set_aside"]:
        return Finding("store", "WARN", "STORE_ROWS", f"{damaged + report['set_aside']} rows")
    rows = sum(table["rows"] for table in report["tables"].values())
    return Finding("store", "PASS", "STORE_OK", f"every one of {rows} rows opens")


def _keys(home: Path, safe: Opened, trust: Trust, now_us: int) -> Finding:
    from config.load import load

    office = find_office(load(home).settings, trust)
    key = safe().signer(office, trust)
    return judge_key(trust.directory, office, key.key_id(), now_us)


def _office(home: Path, trust: Trust, now_us: int) -> Finding:
    from config.load import load

    settings = load(home).settings
    return judge_office(trust.directory.at(now_us), find_office(settings, trust), settings.office.address)


def _prekey(home: Path, safe: Opened, now_us: int) -> Finding:
    return judge_prekey(newest_prekey(home, safe().storage_key), now_us)


def _validity(home: Path, trust: Trust, files: Mapping[str, bytes], now_us: int) -> Finding:
    from config.load import load

    office = find_office(load(home).settings, trust)
    return judge_validity(objects(of_office(home, trust.directory, office, files, None, now_us), WITHIN_US, now_us))


def _clock(trust: Trust, now_us: int) -> Finding:
    if now_us < trust.clock_floor_us:
        return Finding("clock", "FAIL", "CLOCK_BEHIND", "a signed time of the directory is later")
    return Finding("clock", "PASS", "CLOCK_OK")


def _audit(home: Path, safe: Opened) -> Finding:
    return judge_audit(*judge_opened(home, safe()))
