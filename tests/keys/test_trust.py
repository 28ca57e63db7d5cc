"""Trust files: what an office takes, what it refuses and why, and what survives on its disk."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from keys.ceremony.network import init_network, read_network
from keys.files.keyfile import LAB_COST
from keys.mldsa import SecondKey
from keys.roster.suspensions import SUSPENSION_US
from keys.trust import TrustError, TrustStore, UpdateResult
from keys.trust.metadata import HOLDERS_FIELD, ISSUED_FIELD, encode, parse, root_file, tuf_key
from keys.trust.policy import Policy
from keys.trust.sitting import Sitting
from protocol.errors import Refused
from protocol.ids import NetworkId
from tests.keys.acts import publish_directory
from tests.keys.networks import DAY_US, NOW_US, SMALL, Administrator, key_of, make_directory, make_office

SOON_US = NOW_US + 1_000_000


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "root")


@pytest.fixture
def store(tmp_path: Path, admin: Administrator) -> TrustStore:
    return TrustStore.install(tmp_path / "home", admin.files, NOW_US)


def _sitting(admin: Administrator, now_us: int = SOON_US) -> Sitting:
    """What a thief of every key could sign."""
    newest = max(int(name.split(".")[0]) for name in admin.files if name.endswith("root.json"))
    root = parse(Root, admin.files[root_file(newest)], "root").signed
    targets = parse(Targets, admin.files["targets.json"], "targets").signed
    return Sitting(admin.place, root, targets, admin.unlock, admin.policy, now_us)


def _kept(store: TrustStore, result: UpdateResult, before: dict[str, bytes], code: str) -> None:
    """The files were refused with that code, and everything is as it was, also after a restart."""
    assert (result.code, result.changed) == (code, False)
    assert store.publishable_files() == before
    store.load(SOON_US)
    assert store.publishable_files() == before


def test_a_new_directory_arrives_and_the_last_two_generations_stay(
    admin: Administrator, store: TrustStore, tmp_path: Path
) -> None:
    for number in range(2, 6):
        files = admin.act("publish", NOW_US + number).files
        result = store.update(files, NOW_US + number)
        assert (result.changed, result.code, result.trust.version) == (True, None, number)
        assert not store.update(files, NOW_US + number).changed
    assert len(list((tmp_path / "home" / "trust" / "generations").iterdir())) == 2
    again = TrustStore(tmp_path / "home").load(SOON_US)
    assert again == store.load(SOON_US)
    assert again.directory == replace(
        make_directory(), version=5, issued_us=NOW_US + 5, root_fingerprint=again.root_fingerprint
    )
    assert store.publishable_files() == admin.files


def test_the_lab_and_the_default_policy_both_work(tmp_path: Path) -> None:
    """1-of-1 for whoever wants it, 3-of-5 and 2-of-3 by default."""
    one = Policy(root_keys=1, root_threshold=1, targets_keys=1, targets_threshold=1, suspension_keys=1)
    for name, policy in (("one", one), ("default", Policy())):
        network = init_network(
            tmp_path / name,
            make_directory(),
            NOW_US,
            unlock=lambda _: b"lab",
            entropy=random.Random(5).randbytes,
            policy=policy,
            cost=LAB_COST,
        )
        root = parse(Root, network.files["1.root.json"], "root").signed
        assert root.roles["root"].threshold == policy.root_threshold
        assert len(root.roles["targets"].keyids) == policy.targets_keys
        assert read_network(tmp_path / name) == network
        with pytest.raises(Refused, match="FILE_EXISTS"):
            init_network(tmp_path / name, make_directory(), NOW_US, unlock=lambda _: b"x", entropy=random.randbytes)


def test_publishing_takes_the_threshold_and_not_fewer(admin: Administrator) -> None:
    directory = admin.network.directory
    with pytest.raises(Refused, match="NOT_ENOUGH_KEYS"):
        publish_directory(
            admin.place, directory, SOON_US, unlock=lambda label: admin.unlock(label) if label == "targets-2" else None
        )
    with pytest.raises(Refused, match="another network"):
        publish_directory(
            admin.place, replace(directory, network_id=NetworkId(bytes(16))), SOON_US, unlock=admin.unlock
        )


# --- one fault each -----------------------------------------------------------------------------------------------


def _without_signature(files: dict[str, bytes], name: str) -> None:
    content = json.loads(files[name])
    content["signatures"] = content["signatures"][:1]
    files[name] = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _resign(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    """Snapshot and timestamp over files as they are: what a thief of the online keys can do."""
    return _sitting(admin).refresh(files)


def _too_few_targets(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    _without_signature(files, "targets.json")
    return _resign(admin, files)


def _old(admin: Administrator, files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {**files, **{name: admin.files[name] for name in names}}


def _same_version_other_targets(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    sitting = _sitting(admin)
    other = replace(admin.network.directory, network="other")
    return sitting.refresh({**files, **sitting.roster(other)})


def _future_timestamp_version(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, **_sitting(admin).timestamp(files, version=1)}


def _no_time(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    timestamp = parse(Timestamp, files["timestamp.json"], "t").signed
    del timestamp.unrecognized_fields[ISSUED_FIELD]
    return {**files, "timestamp.json": _sitting(admin).sign(timestamp, "timestamp")}


def _undescribed(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    sitting = _sitting(admin)
    snapshot = parse(Snapshot, files["snapshot.json"], "s").signed
    snapshot.meta["targets.json"].hashes = None
    snapshot.version += 1
    files["snapshot.json"] = sitting.sign(snapshot, "snapshot")
    return {**files, **sitting.timestamp(files, version=3)}


def _older_directory(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    """Every version rises, only the roster inside goes back: even the targets' signers may not do that."""
    sitting = _sitting(admin)
    sitting.targets.version += 9
    return sitting.refresh({**files, **sitting.roster(replace(admin.network.directory, version=1, network="older"))})


def _other_network(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    sitting = _sitting(admin)
    sitting.targets.version += 9
    roster = sitting.roster(replace(admin.network.directory, version=9, network_id=NetworkId(bytes(16))))
    return sitting.refresh({**files, **roster})


def _junk_roster(admin: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    sitting = _sitting(admin)
    sitting.targets.version += 9
    files |= sitting.roster(admin.network.directory)
    files["roster.cbor"] = b"junk" + bytes(len(files["roster.cbor"]) - 4)
    return files


def _unsigned_field(_: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    content = {**json.loads(files["timestamp.json"]), "note": "nobody signed this"}
    return {**files, "timestamp.json": json.dumps(content, separators=(",", ":"), sort_keys=True).encode()}


def _other_bytes(_: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "timestamp.json": json.dumps(json.loads(files["timestamp.json"])).encode()}


def _edit_signature(files: dict[str, bytes], edit: Callable[[str], str]) -> dict[str, bytes]:
    content = json.loads(files["timestamp.json"])
    content["signatures"][0]["sig"] = edit(content["signatures"][0]["sig"])
    return {**files, "timestamp.json": json.dumps(content, separators=(",", ":"), sort_keys=True).encode()}


def _wrong_signature(_: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    return _edit_signature(files, lambda signature: signature[::-1])


def _capital_signature(_: Administrator, files: dict[str, bytes]) -> dict[str, bytes]:
    return _edit_signature(files, str.upper)


Fault = Callable[[Administrator, dict[str, bytes]], dict[str, bytes]]

FAULTS: dict[str, tuple[Fault, str]] = {
    "targets under the threshold": (_too_few_targets, "TRUST_UNSIGNED"),
    "snapshot with a signature of 65 bytes": (
        lambda _, files: {**files, "snapshot.json": files["snapshot.json"].replace(b'"sig":"', b'"sig":"00', 1)},
        "TRUST_MALFORMED",
    ),
    "snapshot with a byte changed": (
        lambda _, files: {**files, "snapshot.json": files["snapshot.json"].replace(b'"version":2', b'"version":3')},
        "TRUST_MISMATCH",
    ),
    "timestamp with a signature of 65 bytes": (
        lambda _, files: {**files, "timestamp.json": files["timestamp.json"].replace(b'"sig":"', b'"sig":"00', 1)},
        "TRUST_MALFORMED",
    ),
    "timestamp with a wrong signature": (_wrong_signature, "TRUST_UNSIGNED"),
    "timestamp with a signature in capitals": (_capital_signature, "TRUST_MALFORMED"),
    "an old snapshot among new files": (lambda a, f: _old(a, f, "snapshot.json"), "TRUST_MISMATCH"),
    "old targets among new files": (lambda a, f: _old(a, f, "targets.json"), "TRUST_MISMATCH"),
    "an old roster among new files": (lambda a, f: _old(a, f, "roster.cbor"), "TRUST_MISMATCH"),
    "a roster of the right length and other content": (_junk_roster, "TRUST_MISMATCH"),
    "a roster cut short": (lambda _, f: {**f, "roster.cbor": f["roster.cbor"][:-1]}, "TRUST_MISMATCH"),
    "files without length and hash": (_undescribed, "TRUST_MALFORMED"),
    "a timestamp without its time": (_no_time, "TRUST_MALFORMED"),
    "a field outside the signed part": (_unsigned_field, "TRUST_MALFORMED"),
    "the same content in other bytes": (_other_bytes, "TRUST_MALFORMED"),
    "no JSON at all": (lambda _, f: {**f, "timestamp.json": b"\x00"}, "TRUST_MALFORMED"),
    "a timestamp of a megabyte": (lambda _, f: {**f, "timestamp.json": b"1" * 2**20}, "TRUST_MALFORMED"),
    "a snapshot in the place of the timestamp": (
        lambda _, f: {**f, "timestamp.json": f["snapshot.json"]},
        "TRUST_MALFORMED",
    ),
    "another timestamp of the same version": (_future_timestamp_version, "TRUST_EQUIVOCATION"),
    "other targets of the same version": (_same_version_other_targets, "TRUST_EQUIVOCATION"),
    "an older directory under newer metadata": (_older_directory, "TRUST_EQUIVOCATION"),
    "the directory of another network": (_other_network, "TRUST_FOREIGN"),
}


@pytest.mark.parametrize(("fault", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_g14_each_fault_is_refused_and_the_old_generation_stays(
    admin: Administrator, store: TrustStore, fault: Fault, code: str
) -> None:
    before = store.publishable_files()
    newer = dict(_published(admin))
    result = store.update(fault(admin, newer), SOON_US)
    _kept(store, result, before, code)
    assert store.update(_published(admin), SOON_US).trust.version == 2


def _published(admin: Administrator) -> dict[str, bytes]:
    """The next generation, while `admin.files` still shows the first one."""
    first = admin.network
    if read_network(admin.place).directory.version == 1:
        admin.act("publish", SOON_US)
        admin.network = first
    return dict(read_network(admin.place).files)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json", "roster.cbor", "everything"])
def test_g14_nothing_rolls_back(admin: Administrator, store: TrustStore, name: str) -> None:
    old = admin.files
    store.update(admin.act("publish", SOON_US).files, SOON_US)
    before = store.publishable_files()
    offered = dict(old) if name == "everything" else {**admin.files, name: old[name]}
    result = store.update(offered, SOON_US)
    _kept(store, result, before, "TRUST_ROLLBACK" if name in ("timestamp.json", "everything") else "TRUST_MISMATCH")


def test_g14_a_thief_of_the_online_keys_cannot_bring_back_old_targets(admin: Administrator, store: TrustStore) -> None:
    old = admin.files
    store.update(admin.act("publish", SOON_US).files, SOON_US)
    before = store.publishable_files()
    mixed = {**admin.files, "targets.json": old["targets.json"], "roster.cbor": old["roster.cbor"]}
    _kept(store, store.update(_resign(admin, mixed), SOON_US), before, "TRUST_ROLLBACK")


def test_g14_not_even_all_signers_together_bring_back_an_old_directory(admin: Administrator, store: TrustStore) -> None:
    old = admin.network.directory
    store.update(admin.act("publish", SOON_US).files, SOON_US)
    before = store.publishable_files()
    sitting = _sitting(admin)
    sitting.targets.version += 1
    _kept(
        store, store.update(sitting.refresh({**admin.files, **sitting.roster(old)}), SOON_US), before, "TRUST_ROLLBACK"
    )


def test_a_frozen_network_grows_stale_then_expires_and_is_still_read(admin: Administrator, store: TrustStore) -> None:
    states = [(days, store.load(NOW_US + days * DAY_US).state(NOW_US + days * DAY_US)) for days in (0, 6, 7, 44, 45)]
    assert states == [(0, "ok"), (6, "ok"), (7, "stale"), (44, "stale"), (45, "expired")]
    assert store.load(NOW_US + 900 * DAY_US).directory.by_address(make_office(1).address) is not None
    late = NOW_US + 8 * DAY_US
    expired = admin.act("renew", NOW_US + 1).files
    _kept(store, store.update(expired, late), store.publishable_files(), "TRUST_EXPIRED")
    result = store.update(admin.act("renew", late).files, late)
    assert (result.code, result.trust.state(late)) == (None, "ok")


def test_a_clock_set_back_does_not_revive_expired_files(
    admin: Administrator, store: TrustStore, tmp_path: Path
) -> None:
    late = NOW_US + 30 * DAY_US
    expired = admin.act("renew", NOW_US + 1).files
    result = store.update(admin.act("renew", late).files, late)
    assert result.trust.clock_floor_us == late
    again = TrustStore(tmp_path / "home")
    assert again.load(NOW_US).clock_floor_us == late
    assert again.load(NOW_US).state(NOW_US + 1) == "ok"
    assert again.update({**admin.files, **expired}, NOW_US).code == "TRUST_ROLLBACK"
    with pytest.raises(TrustError, match="TRUST_EXPIRED"):
        TrustStore.install(tmp_path / "new", expired, late)


def test_new_files_may_come_one_by_one(admin: Administrator, store: TrustStore) -> None:
    files = admin.act("publish", SOON_US).files
    codes = [store.update(dict(list(files.items())[: count + 1]), SOON_US).code for count in range(len(files))]
    assert codes[-1] is None
    assert set(codes[:-1]) <= {None, "TRUST_MISMATCH"}
    assert store.publishable_files() == files


def test_a_damaged_generation_gives_way_to_the_one_before(
    admin: Administrator, store: TrustStore, tmp_path: Path
) -> None:
    store.update(admin.act("publish", SOON_US).files, SOON_US)
    newest = max((tmp_path / "home" / "trust" / "generations").iterdir())
    (newest / "roster.cbor").write_bytes(b"rot")
    trust = store.load(SOON_US)
    assert (trust.version, trust.damaged) == (1, (newest.name,))
    result = store.update(admin.files, SOON_US)
    assert (result.trust.version, result.trust.damaged) == (2, ())
    (tmp_path / "home" / "trust" / "floor").write_bytes(b"rot")
    assert store.load(SOON_US).damaged == ("floor",)


def test_g14_after_damage_the_floor_still_forbids_older_directories(
    admin: Administrator, store: TrustStore, tmp_path: Path
) -> None:
    old = admin.act("renew", SOON_US).files
    store.update(admin.act("publish", SOON_US).files, SOON_US)
    newest = max((tmp_path / "home" / "trust" / "generations").iterdir())
    (newest / "snapshot.json").unlink()
    trust = store.load(SOON_US)
    # A newer one was here: whoever asks is not told that this one is the newest.
    assert (trust.version, trust.state(SOON_US)) == (1, "stale")
    assert store.update(old, SOON_US).code == "TRUST_ROLLBACK"


def test_an_empty_home_has_no_trust_and_a_second_install_is_refused(
    admin: Administrator, store: TrustStore, tmp_path: Path
) -> None:
    with pytest.raises(TrustError, match="TRUST_MISSING"):
        TrustStore(tmp_path / "nobody").load(NOW_US)
    with pytest.raises(Refused, match="FILE_EXISTS"):
        TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    with pytest.raises(ValueError, match="loaded"):
        TrustStore(tmp_path / "home").update(admin.files, NOW_US)
    assert store.load(NOW_US).version == 1


def test_g14_a_suspension_needs_one_signature_and_ends_after_72_hours(admin: Administrator, store: TrustStore) -> None:
    trust = store.update(admin.act("suspend", SOON_US).files, SOON_US).trust
    office = make_office(1).id
    assert trust.suspended(SOON_US - 1) == frozenset()
    assert trust.suspended(SOON_US) == trust.suspended(SOON_US + SUSPENSION_US - 1) == {office}
    assert trust.suspended(SOON_US + SUSPENSION_US) == frozenset()


def test_old_suspensions_do_not_stop_a_directory(tmp_path: Path) -> None:
    policy = replace(SMALL, snapshot_life_us=900 * DAY_US)
    admin = Administrator(tmp_path / "root", policy=policy)
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    late = NOW_US + 200 * DAY_US
    result = store.update(admin.act("publish", late).files, late)
    assert (result.code, result.trust.version) == (None, 2)


def test_a_root_with_an_unsound_key_is_refused(admin: Administrator, tmp_path: Path) -> None:
    """A small-order key verifies anything, and a key under two ids would sign twice."""
    for public, id_ in ((b"\x01" + bytes(31), None), (key_of(77).public(), "0" * 64)):
        sitting = _sitting(admin)
        holders = sitting.signers("root")
        key: Any = tuf_key(public)
        key.keyid = id_ or key.keyid
        sitting.root.add_key(key, "targets")
        held: Any = sitting.root.unrecognized_fields[HOLDERS_FIELD]
        held[key.keyid] = {"label": "targets-9", "mldsa65": SecondKey.from_seed(bytes(32)).public().hex()}
        metadata: Metadata[Root] = Metadata(sitting.root)
        for holder in holders:
            holder.sign(metadata, "root")
        files = {**admin.files, "1.root.json": encode(metadata)}
        with pytest.raises(TrustError, match="sound"):
            TrustStore.install(tmp_path / "home", files, NOW_US)
