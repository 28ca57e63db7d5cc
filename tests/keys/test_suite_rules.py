"""Which signature algorithm counts where, by the directory alone; and what happens without the extra `gm` (G10)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import gm
from keys.files.keyfile import write_secret
from keys.files.private_files import KeyFileError
from keys.gm import GmMissing, Sm2Key, require_gm
from keys.prekeys import make_prekey, verify_prekey
from keys.primitives import (
    NotAuthentic,
    PrekeyPrivate,
    PrekeyPublic,
    SigningKey,
    algorithm_of,
    prekey_public,
    suite_for,
)
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import TIME_MAX_US, OfficeKey, OfficeRecord, Person
from keys.signer import Signer
from keys.signing import PREKEY, RECEIPT, UnverifiedRecord, sign_record
from keys.signing_key import make_private_key, open_private_key
from protocol import cbor
from protocol.errors import Refused, RemoteError
from tests.gm import needs_gm
from tests.keys.networks import NETWORK, NOW_US, key_of, make_directory, make_office
from tests.sm2 import FixedSm2Key

SEED = bytes(range(32))
ED, SM = key_of(1), FixedSm2Key(SEED)
SUITE_SETS = [suites for size in (1, 2, 3) for suites in combinations((1, 2, 3), size)]


def office_of(*keys: Signer) -> OfficeRecord:
    made = tuple(OfficeKey.of(key.public(), 0, TIME_MAX_US) for key in keys)
    clerk = Person.of("周文书", ("clerk",), FixedSm2Key(bytes(32)).public(), 0, TIME_MAX_US)
    return replace(make_office(1), keys=made, persons=(clerk,))


def network_of(*suites: int) -> Directory:
    return replace(make_directory(office_of(ED, SM)), rules=Rules(suites=suites))


@pytest.fixture
def without_gm() -> Iterator[None]:
    with patch.object(gm, "_library", side_effect=GmMissing):
        yield


@pytest.mark.parametrize("suites", SUITE_SETS)
def test_g10_a_signing_key_counts_where_one_of_its_suites_is_allowed(suites: tuple[int, ...]) -> None:
    directory = network_of(*suites)
    office = next(iter(directory.offices.values()))
    for key, allowed in ((ED, bool({1, 2} & set(suites))), (SM, 3 in suites)):
        assert directory.has_key(office.id, key.key_id(), NOW_US) is allowed
        assert directory.allows(key.suite) is allowed
        if not allowed:
            with pytest.raises(RemoteError, match="BAD_SUITE"):
                directory.signing_key(office.id, key.key_id(), NOW_US)
    (person,) = office.persons
    assert person.suite == 3
    assert directory.person_by_key(office.id, person.key_id) == person
    assert Directory.decode(directory.encode()) == directory


def test_a_roster_with_sm2_keys_needs_no_library(without_gm: None) -> None:
    directory = network_of(3)
    assert Directory.decode(directory.encode()) == directory
    assert prekey_public(3, SEED) == SM.public()


def test_the_suite_of_a_prekey_is_the_strongest_that_is_allowed() -> None:
    assert [suite_for(0, suites) for suites in ((1, 2, 3), (2, 3), (3,))] == [1, 2, None]
    assert [suite_for(3, suites) for suites in ((1, 2, 3), (1, 2), (3,))] == [3, None, 3]
    assert suite_for(128, (1, 2, 3)) is None
    assert [algorithm_of(suite) for suite in (1, 2, 3)] == [0, 0, 3]


@needs_gm
@pytest.mark.parametrize("signer", [ED, SM], ids=["ed25519", "sm2"])
@pytest.mark.parametrize("suite", [1, 2, 3])
def test_g10_a_prekey_is_of_a_suite_that_its_signing_key_serves(signer: Signer, suite: int) -> None:
    directory = network_of(1, 2, 3)
    office = next(iter(directory.offices))
    record = make_prekey(signer, network_id=NETWORK, office_id=office, suite=suite, seed=SEED, now_us=NOW_US)
    if algorithm_of(suite) == signer.suite:
        assert verify_prekey(record.data, directory, NOW_US) == record
    else:
        with pytest.raises(RemoteError, match="BAD_SUITE"):
            verify_prekey(record.data, directory, NOW_US)


@needs_gm
@given(st.binary(max_size=64))
def test_g10_the_algorithm_is_that_of_the_key_whatever_the_record_says(payload: bytes) -> None:
    by_sm, by_ed = sign_record(SM, RECEIPT, payload), sign_record(ED, RECEIPT, payload)
    UnverifiedRecord(by_sm, max_bytes=1_000).verify(RECEIPT, SM.public())
    UnverifiedRecord(by_ed, max_bytes=1_000).verify(RECEIPT, ED.public())
    for data, public in ((by_sm, ED.public()), (by_ed, SM.public())):
        with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
            UnverifiedRecord(data, max_bytes=1_000).verify(RECEIPT, public)
    # The other's algorithm in the header, with the right key's id and signature.
    for data, algorithm, public in ((by_sm, -19, SM.public()), (by_ed, -70010, ED.public())):
        parts = cbor.loads(data, max_bytes=1_000)
        parts[0] = cbor.dumps(cbor.loads(parts[0], max_bytes=100) | {1: algorithm})
        with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
            UnverifiedRecord(cbor.dumps(parts), max_bytes=1_000).verify(RECEIPT, public)
    with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
        UnverifiedRecord(by_sm, max_bytes=1_000).verify(PREKEY, SM.public())


def test_g10_without_the_extra_nothing_of_suite_3_counts(without_gm: None) -> None:
    record = UnverifiedRecord(sign_record(SM, RECEIPT, b""), max_bytes=1_000)
    with pytest.raises(RemoteError, match="BAD_SUITE"):
        record.verify(RECEIPT, SM.public())
    with pytest.raises(Refused, match="SUITE_MISSING"):
        Sm2Key(SEED).sign(b"")
    with pytest.raises(Refused, match="SUITE_MISSING"):
        require_gm()
    with pytest.raises(NotAuthentic):
        PrekeyPublic(3, SM.public()).wrap(bytes(16), b"")
    with pytest.raises(NotAuthentic):
        PrekeyPrivate(3, SEED).unwrap(bytes(129), bytes(32), b"")


@pytest.mark.parametrize(("algorithm", "kind"), [(0, SigningKey), (3, Sm2Key)])
def test_a_signing_key_is_opened_as_what_it_is(tmp_path: Path, algorithm: int, kind: type[object]) -> None:
    key, storage_key = make_private_key(algorithm, SEED), bytes(32)
    path = tmp_path / "keys" / "identity.key"

    def keep(seed: bytes, public: bytes) -> None:
        path.unlink(missing_ok=True)
        write_secret(path, "identity", seed, storage_key=storage_key, entropy=bytes, public=public)

    keep(SEED, key.public())
    opened = open_private_key(path, "identity", storage_key=storage_key)
    assert isinstance(opened, kind)
    assert (opened.public(), opened.suite) == (key.public(), algorithm)
    for seed, public in ((bytes(32), key.public()), (SEED, b""), (SEED, key.public()[:-1])):
        keep(seed, public)
        with pytest.raises(KeyFileError, match="KEY_FILE_DAMAGED"):
            open_private_key(path, "identity", storage_key=storage_key)
