"""The doctor's judgements, and words for every one of them in both languages."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import pytest

from config.schema import Office, Settings
from keys import gm
from keys.files.storage_key import nobody
from keys.prekeys import make_prekey
from keys.roster.directory import Rules
from relay import doctor
from relay.alarms import AlarmCode
from relay.console.advice import ADVICE, advice
from relay.doctor.files import look_at_files
from relay.doctor.finding import DAY_US, Finding, judge_end
from relay.doctor.running import (
    judge_alarms,
    judge_audit,
    judge_clock,
    judge_key,
    judge_links,
    judge_overdue,
    judge_prekey,
    judge_queue,
    judge_store,
    judge_trust,
)
from relay.doctor.stopped import examine_stopped
from tests.world import (
    COUNTY,
    COUNTY_KEY,
    DIRECTORY,
    LOST_KEY,
    NETWORK,
    NOW_US,
    OLD_KEY,
    PREKEY_SEED,
    PROVINCE,
    PROVINCE_KEY,
    REVOKED,
    REVOKED_KEY,
    STRANGER,
)

SETTINGS = Settings(home_version=1, office=Office(address="320924-GO", network="lab"))
STORE: dict[str, Any] = {"bytes": 10, "quota_bytes": 100, "state": "ok", "damaged_rows": 0, "problems": []}


def said(finding: Finding) -> tuple[str, str]:
    return finding.result, finding.code


def test_every_code_and_every_alarm_has_words_and_what_is_not_right_has_a_next_step() -> None:
    assert doctor.__file__ is not None
    sources = [path.read_text("utf-8") for path in Path(doctor.__file__).parent.glob("*.py")]
    pairs = [pair for text in sources for pair in re.findall(r'"(PASS|WARN|FAIL)", "([A-Z]+_[A-Z_]+)"', text)]
    codes = {code for _, code in pairs} | {f"{name}_{end}" for name in ("KEY", "PREKEY") for end in ("ENDED", "OK")}
    assert len(codes) > 30
    assert codes | set(get_args(AlarmCode)) <= set(ADVICE)
    right = {code for result, code in pairs if result == "PASS"} | {"KEY_OK", "PREKEY_OK"}
    for code in ADVICE:
        for lang in ("zh_CN", "en"):
            what, step = advice(code, lang)
            assert what
            assert bool(step) == (code not in right), code
    assert advice("SOMETHING_NEW", "en") == ("SOMETHING_NEW", "")


def test_what_ends_is_a_warning_before_it_is_a_failure() -> None:
    def at(days: int) -> tuple[str, str]:
        return said(judge_end("keys", "KEY", NOW_US + days * DAY_US, NOW_US, 30))

    assert at(31) == ("PASS", "KEY_OK")
    assert at(29) == ("WARN", "KEY_ENDS_SOON")
    assert at(0) == ("FAIL", "KEY_ENDED")
    assert at(-400) == ("FAIL", "KEY_ENDED")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("PASS", "STORE_OK")),
        ({"state": "low"}, ("WARN", "STORE_LOW")),
        ({"state": "full"}, ("FAIL", "STORE_FULL")),
        ({"damaged_rows": 2}, ("WARN", "STORE_ROWS")),
        ({"problems": ["page 7"], "state": "full"}, ("FAIL", "STORE_PAGES")),
    ],
)
def test_the_store(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(judge_store(STORE | changes)) == expected


def test_keys_and_prekeys() -> None:
    def key(office: bytes, key_id: Any, now_us: int = NOW_US) -> tuple[str, str]:
        return said(judge_key(DIRECTORY, office, key_id, now_us))

    assert key(COUNTY, COUNTY_KEY.key_id()) == ("PASS", "KEY_OK")
    assert key(COUNTY, COUNTY_KEY.key_id(), NOW_US + 280 * DAY_US) == ("WARN", "KEY_ENDS_SOON")
    assert key(COUNTY, OLD_KEY.key_id()) == ("FAIL", "KEY_ENDED")
    assert key(COUNTY, LOST_KEY.key_id()) == ("FAIL", "KEY_REVOKED")
    assert key(COUNTY, PROVINCE_KEY.key_id()) == ("FAIL", "KEY_UNKNOWN")
    assert key(REVOKED, REVOKED_KEY.key_id()) == ("FAIL", "KEY_UNKNOWN")
    assert key(STRANGER, COUNTY_KEY.key_id()) == ("FAIL", "KEY_UNKNOWN")
    other_suite = replace(DIRECTORY, rules=Rules(suites=(9,)))
    assert said(judge_key(other_suite, COUNTY, COUNTY_KEY.key_id(), NOW_US)) == ("FAIL", "KEY_SUITE")
    with patch.object(gm, "_library", side_effect=gm.GmMissing):
        sm = replace(DIRECTORY, rules=Rules(suites=(1, 3)))
        assert said(judge_key(sm, COUNTY, COUNTY_KEY.key_id(), NOW_US)) == ("FAIL", "SUITE_MISSING")
    record = make_prekey(PROVINCE_KEY, network_id=NETWORK, office_id=PROVINCE, suite=1, seed=PREKEY_SEED, now_us=NOW_US)
    assert said(judge_prekey(record, NOW_US)) == ("PASS", "PREKEY_OK")
    assert said(judge_prekey(record, record.not_after_us - DAY_US)) == ("WARN", "PREKEY_ENDS_SOON")
    assert said(judge_prekey(record, record.not_after_us)) == ("FAIL", "PREKEY_ENDED")
    assert said(judge_prekey(None, NOW_US)) == ("FAIL", "PREKEY_MISSING")


def test_directory_clock_links_and_queues() -> None:
    assert said(judge_trust("ok", 5, ())) == ("PASS", "TRUST_OK")
    assert said(judge_trust("ok", 5, ("42",))) == ("WARN", "TRUST_FILES")
    assert said(judge_trust("stale", 5, ())) == ("WARN", "TRUST_STALE")
    assert said(judge_trust("expired", 5, ())) == ("FAIL", "TRUST_EXPIRED")
    assert said(judge_clock({"state": "following"})) == ("PASS", "CLOCK_OK")
    assert said(judge_clock({"state": "held", "offset_s": 900.0})) == ("FAIL", "CLOCK_HELD")
    up = {"broker": "a", "state": "connected", "last_error": None, "peers": ["320000-GO"]}
    down = {"broker": "b", "state": "waiting", "last_error": "refused", "peers": []}
    assert said(judge_links([])) == ("WARN", "LINKS_NONE")
    assert said(judge_links([up])) == ("PASS", "LINKS_OK")
    assert said(judge_links([up, down])) == ("WARN", "LINKS_SOME_DOWN")
    assert judge_links([down]) == Finding("links", "FAIL", "LINKS_DOWN", "b: refused")
    quiet = {name: {"queued": 0, "oldest_s": 0} for name in ("flash", "urgent", "priority", "routine", "bulk")}
    assert said(judge_queue(quiet, SETTINGS)) == ("PASS", "QUEUE_OK")
    assert said(judge_queue(quiet | {"flash": {"queued": 1, "oldest_s": 901}}, SETTINGS)) == ("WARN", "QUEUE_OLD")
    assert said(judge_overdue([])) == ("PASS", "OVERDUE_NONE")
    assert said(judge_overdue([{}])) == ("WARN", "OVERDUE_SOME")


def test_g15_the_audit_log_and_alarms_fail_loudly() -> None:
    assert said(judge_audit((), ())) == ("PASS", "AUDIT_OK")
    assert said(judge_audit(("CUT: …",), ("CUT: …",))) == ("FAIL", "AUDIT_CHANGED")
    assert said(judge_audit(("CUT: …",), ())) == ("WARN", "AUDIT_ACCEPTED")
    assert [said(one) for one in judge_alarms([])] == [("PASS", "ALARMS_NONE")]
    sounding = [{"code": code, "since": "x", "detail": "y"} for code in ("AUDIT_DAMAGED", "CLOCK_SKEW")]
    assert [said(one) for one in judge_alarms(sounding)] == [("FAIL", "AUDIT_DAMAGED"), ("WARN", "CLOCK_SKEW")]


def test_settings_and_modes_of_a_home(tmp_path: Path) -> None:
    file, keys = tmp_path / "relay.toml", tmp_path / "keys"
    file.write_text('home_version = 1\n[office]\naddress = "320924-GO"\nnetwork = "lab"\n')
    keys.mkdir(mode=0o700)
    (keys / "identity.key").touch(mode=0o600)

    def found(running: Settings | None = None) -> list[str]:
        return [finding.code for finding in look_at_files(tmp_path, running)]

    assert found() == found(SETTINGS) == ["SETTINGS_OK", "MODES_OK"]
    other = Settings(home_version=1, office=Office(address="320900-GO", network="lab"))
    assert found(other) == ["SETTINGS_CHANGED", "MODES_OK"]
    (tmp_path / "audit").mkdir(mode=0o755)
    assert found() == ["SETTINGS_OK", "HOME_OPEN"]
    (keys / "identity.key").chmod(0o640)
    file.write_text("home_version = 1\n")
    assert found() == ["SETTINGS_WRONG", "KEYS_OPEN"]


def test_a_home_of_which_nothing_can_be_read_is_looked_at_all_the_same(tmp_path: Path) -> None:
    found = {finding.check: finding.result for finding in examine_stopped(tmp_path, nobody)}
    assert found["daemon"] == found["settings"] == found["trust"] == "FAIL"
