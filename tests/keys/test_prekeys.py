"""Prekey records: one byte form, verified step by step, highest epoch wins."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.mldsa import SecondKey
from keys.prekeys import (
    EPOCH_MAX,
    PREKEY_VALID_US,
    PrekeyRecord,
    make_prekey,
    parse_prekey,
    supersedes,
    verify_own,
    verify_prekey,
)
from keys.primitives import ED25519, SERVES, prekey_public
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey
from keys.signing import PREKEY, PRESENCE, sign_record
from protocol import cbor
from protocol.errors import RemoteError
from protocol.ids import NetworkId
from protocol.limits import CLOCK_AHEAD_US, RECORD_BYTES, SECOND_US
from tests.keys.networks import DAY_US, NETWORK, NOW_US, key_of, make_directory, make_office

OFFICE = make_office(1)
SUITES = SERVES[ED25519]
DIRECTORY = make_directory()


def _make(*, suite: int = 1, seed: int = 7, now_us: int = NOW_US, **more: Any) -> PrekeyRecord:
    seed_bytes = seed.to_bytes(32, "big")
    return make_prekey(
        key_of(1), network_id=NETWORK, office_id=OFFICE.id, suite=suite, seed=seed_bytes, now_us=now_us, **more
    )


@pytest.mark.parametrize("suite", SUITES)
def test_a_record_survives_and_verifies(suite: int) -> None:
    record = _make(suite=suite)
    assert parse_prekey(record.data) == record
    assert verify_prekey(record.data, DIRECTORY, NOW_US) == record
    assert record.public == prekey_public(suite, (7).to_bytes(32, "big"))
    assert [record.valid_at(at) for at in (NOW_US - 1, NOW_US, record.not_after_us - 1, record.not_after_us)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not record.renewal_due(NOW_US + 7 * DAY_US - 1, 7 * DAY_US)
    assert record.renewal_due(NOW_US + 7 * DAY_US, 7 * DAY_US)
    # Made by a clock that was ahead: nobody takes it.
    assert record.renewal_due(NOW_US - CLOCK_AHEAD_US - 1, 7 * DAY_US)
    assert not record.renewal_due(NOW_US - CLOCK_AHEAD_US, 7 * DAY_US)


@settings(max_examples=300)
@given(st.data(), st.sampled_from(SUITES))
def test_g10_any_changed_byte_is_refused(data: st.DataObject, suite: int) -> None:
    whole = bytearray(_make(suite=suite).data)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        verify_prekey(bytes(whole), DIRECTORY, NOW_US)


@given(st.binary(max_size=200))
def test_junk_raises_only_the_decoders_error(junk: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_prekey(junk)


def _signed(changes: dict[int, Any], *, signer: int = 1, purpose: str = PREKEY) -> bytes:
    """A record by the office's key with some fields other than they should be; `...` removes one."""
    fields: dict[int, Any] = {
        0: 1, 1: NETWORK, 2: OFFICE.id, 3: 2, 4: 1, 5: NOW_US, 6: NOW_US + DAY_US, 7: _make(suite=2).public, 8: None,
    }  # fmt: skip
    fields |= changes
    first = sign_record(key_of(signer), purpose, cbor.dumps({k: v for k, v in fields.items() if v is not ...}))
    return cbor.dumps([first, None])


FAULTY = {
    "version 2": ({0: 2}, "BAD_VERSION"),
    "a field missing": ({8: ...}, "MALFORMED"),
    "a field too many": ({9: 0}, "MALFORMED"),
    "another network": ({1: NetworkId(bytes(16))}, "WRONG_NETWORK"),
    "an unknown office": ({2: bytes(16)}, "UNKNOWN_OFFICE"),
    "the id of another office": ({2: make_office(2).id}, "UNKNOWN_KEY"),
    "a suite nobody allowed": ({3: 9}, "BAD_SUITE"),
    "epoch 0": ({4: 0}, "MALFORMED"),
    "an epoch that nobody comes to": ({4: NOW_US // SECOND_US + 1, 8: bytes(32)}, "MALFORMED"),
    "the first with a predecessor": ({8: bytes(32)}, "MALFORMED"),
    "valid for 46 days": ({6: NOW_US + 46 * DAY_US}, "BAD_LIFE"),
    "valid for no time": ({6: NOW_US}, "BAD_LIFE"),
    "valid from tomorrow on": ({5: NOW_US + DAY_US, 6: NOW_US + 2 * DAY_US}, "BAD_LIFE"),
    "over": ({5: NOW_US - 2 * DAY_US, 6: NOW_US}, "EXPIRED"),
    "a key of another suite": ({3: 1}, "MALFORMED"),
}


@pytest.mark.parametrize(("changes", "code"), FAULTY.values(), ids=FAULTY.keys())
def test_g10_each_step_refuses_its_fault(changes: dict[int, Any], code: str) -> None:
    verify_prekey(_signed({}), DIRECTORY, NOW_US)
    with pytest.raises(RemoteError, match=code):
        verify_prekey(_signed(changes), DIRECTORY, NOW_US)


def test_g10_another_signer_another_purpose_or_a_dead_key_is_refused() -> None:
    with pytest.raises(RemoteError, match="UNKNOWN_KEY"):
        verify_prekey(_signed({}, signer=2), DIRECTORY, NOW_US)
    with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
        verify_prekey(_signed({}, purpose=PRESENCE), DIRECTORY, NOW_US)
    dead = OfficeKey.of(key_of(1).public(), 0, NOW_US + DAY_US, revoked_since_us=NOW_US + 5)
    directory = make_directory(replace(OFFICE, keys=(dead,)))
    verify_prekey(_signed({}), directory, NOW_US + 4)
    with pytest.raises(RemoteError, match="KEY_NOT_VALID"):
        verify_prekey(_signed({}), directory, NOW_US + 5)
    with pytest.raises(RemoteError, match="BAD_SUITE"):
        verify_prekey(_signed({}), _allowing(1), NOW_US)


SECOND = SecondKey.from_seed(bytes(range(32)))
THIRD = SecondKey.from_seed(bytes(range(1, 33)))


def _naming(*seconds: OfficeKey) -> Directory:
    """The directory in which the office has second keys."""
    return make_directory(replace(OFFICE, keys=(*OFFICE.keys, *seconds)))


def _named(key: SecondKey, since_us: int = NOW_US - DAY_US, until_us: int = NOW_US + 60 * DAY_US) -> OfficeKey:
    return OfficeKey.second(key.public(), since_us, until_us)


def test_g10_where_the_directory_names_a_second_key_a_prekey_must_be_signed_by_it_too() -> None:
    bare, signed, strange = _make(suite=1), _make(suite=1, second=SECOND), _make(suite=1, second=THIRD)
    named = _naming(_named(SECOND))
    assert verify_prekey(signed.data, named, NOW_US) == parse_prekey(signed.data) == signed
    assert signed.second == SECOND.public()
    assert len(signed.data) < RECORD_BYTES // 2
    wrong: list[tuple[PrekeyRecord, Directory, str]] = [
        (bare, named, "BAD_SIGNATURE"),
        (strange, named, "UNKNOWN_KEY"),
        (signed, DIRECTORY, "UNKNOWN_KEY"),
        (signed, _naming(_named(SECOND, NOW_US + 1)), "KEY_NOT_VALID"),
        (signed, _naming(_named(SECOND, until_us=NOW_US)), "KEY_NOT_VALID"),
        # A key that has ended does not let its office fall back to one signature.
        (bare, _naming(_named(SECOND, until_us=NOW_US)), "BAD_SIGNATURE"),
    ]
    for record, directory, code in wrong:
        with pytest.raises(RemoteError, match=code):
            verify_prekey(record.data, directory, NOW_US)
    verify_prekey(strange.data, _naming(_named(SECOND), _named(THIRD)), NOW_US)


def test_g10_a_second_signature_is_of_one_record() -> None:
    """Whoever breaks the first signature cannot move the second under a prekey of its own."""
    one, other = _make(suite=1, second=SECOND), _make(suite=1, seed=8, second=SECOND)
    first, second = cbor.loads(other.data, max_bytes=RECORD_BYTES)[0], cbor.loads(one.data, max_bytes=RECORD_BYTES)[1]
    with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
        verify_prekey(cbor.dumps([first, second]), _naming(_named(SECOND)), NOW_US)


@settings(max_examples=100)
@given(st.data())
def test_g10_any_changed_byte_of_a_twice_signed_record_is_refused(data: st.DataObject) -> None:
    whole = bytearray(_make(suite=1, second=SECOND).data)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        verify_prekey(bytes(whole), _naming(_named(SECOND)), NOW_US)


def test_g12_an_own_record_past_its_end_counts_while_its_key_does() -> None:
    ended = _make(suite=2, valid_us=DAY_US)
    later = NOW_US + 2 * DAY_US
    with pytest.raises(RemoteError, match="EXPIRED"):
        verify_prekey(ended.data, DIRECTORY, later)
    assert verify_own(ended.data, DIRECTORY, later) == ended
    dead = OfficeKey.of(key_of(1).public(), 0, later)
    with pytest.raises(RemoteError, match="KEY_NOT_VALID"):
        verify_own(ended.data, make_directory(replace(OFFICE, keys=(dead,))), later)


def _allowing(*suites: int) -> Directory:
    return replace(DIRECTORY, rules=Rules(suites=suites))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_the_highest_epoch_wins_whatever_the_order(order: list[int]) -> None:
    chain = [_make(suite=2)]
    for number in range(5):
        chain.append(_make(suite=2, seed=number + 8, now_us=NOW_US + number + 1, previous=chain[-1]))
    held: PrekeyRecord | None = None
    for at in order:
        before = held
        if held is not None and chain[at].epoch < held.epoch:
            with pytest.raises(RemoteError, match="STALE"):
                supersedes(chain[at], held)
        elif supersedes(chain[at], held):
            held = chain[at]
        assert before is None or (held is not None and held.epoch >= before.epoch)
    assert held is chain[max(order)]


def test_g14_a_thief_of_a_signing_key_cannot_use_up_the_epochs_of_its_office() -> None:
    second = NOW_US // SECOND_US
    # As far as a thief can get, with a clock that is as far ahead as anybody takes.
    ahead_us = NOW_US + CLOCK_AHEAD_US
    highest = _make(now_us=ahead_us, epoch_seen=ahead_us // SECOND_US - 1)
    assert verify_prekey(highest.data, DIRECTORY, NOW_US).epoch == second + CLOCK_AHEAD_US // SECOND_US
    with pytest.raises(RemoteError, match="MALFORMED"):
        verify_prekey(_make(epoch_seen=EPOCH_MAX - 1).data, DIRECTORY, NOW_US)
    # The office, told of it, goes on above it, minutes later at most.
    later_us = ahead_us + SECOND_US
    after = _make(now_us=later_us, previous=_make(seed=8), epoch_seen=highest.epoch)
    assert supersedes(verify_prekey(after.data, DIRECTORY, later_us), highest)


@given(st.permutations(range(3)))
def test_g16_of_records_of_one_epoch_the_one_that_begins_last_counts_whatever_the_order(order: list[int]) -> None:
    """An office that lost its prekeys gave an epoch again that distant offices remember: all end with what it has."""
    held: PrekeyRecord | None = None
    for at in order:
        new = _make(suite=2, seed=at + 8, now_us=NOW_US + at, epoch_seen=2)
        if held is not None and held.not_before_us > new.not_before_us:
            with pytest.raises(RemoteError, match="STALE"):
                supersedes(new, held)
        else:
            assert supersedes(new, held)
            held = new
    assert held is not None
    assert (held.epoch, held.not_before_us) == (3, NOW_US + 2)


def test_two_records_of_one_epoch_and_time_are_an_alarm_and_a_restored_office_can_go_on() -> None:
    first = _make(suite=2)
    second = _make(suite=2, seed=8, previous=first)
    other = _make(suite=2, seed=9, previous=first)
    assert not supersedes(second, second)
    with pytest.raises(RemoteError, match="ID_REUSED"):
        supersedes(other, second)
    restored = _make(suite=2, seed=10, previous=first, epoch_seen=second.epoch)
    assert restored.epoch == 3
    assert supersedes(restored, second)
    with pytest.raises(ValueError, match="two offices"):
        supersedes(replace(second, office_id=make_office(2).id), first)


def test_a_prekey_is_never_made_for_longer_than_45_days() -> None:
    for valid_us in (0, PREKEY_VALID_US + 1):
        with pytest.raises(ValueError, match="45 days"):
            _make(suite=2, valid_us=valid_us)
