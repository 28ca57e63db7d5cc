"""Rotation of roots: which chains an office follows, told by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from keys.mldsa import SecondKey
from keys.times import utc_time
from keys.trust import TrustStore, root_fingerprint
from keys.trust.holder import Holder
from keys.trust.making import set_role
from keys.trust.metadata import encode, parse, root_file, tuf_key
from keys.trust.sitting import Sitting
from tests.keys.networks import DAY_US, NOW_US, SMALL, Administrator, key_of

SOON_US = NOW_US + 1_000_000
Files = dict[str, bytes]


def _newest(files: Files) -> Root:
    version = max(int(name.split(".")[0]) for name in files if name.endswith("root.json"))
    return parse(Root, files[root_file(version)], "root").signed


def _signers(admin: Administrator, root: Root, role: str = "root") -> list[Holder]:
    """The opened keys of a role, as many as must sign."""
    return Sitting(admin.place, root, _targets(admin), admin.unlock, admin.policy, SOON_US).signers(role)


def _targets(admin: Administrator) -> Targets:
    return parse(Targets, admin.files["targets.json"], "targets").signed


def _strangers(count: int) -> list[Holder]:
    numbers = range(500, 500 + count)
    return [Holder(f"root-{at}", key_of(at), SecondKey.from_seed(at.to_bytes(32, "big"))) for at in numbers]


def sign_with(root: Root, holders: list[Holder]) -> bytes:
    metadata: Metadata[Root] = Metadata(root)
    for holder in holders:
        holder.sign(metadata, "root")
    return encode(metadata)


def _next(root: Root, *, by: int = 1) -> Root:
    root.version += by
    return root


def _rotated(admin: Administrator, *roles: str) -> Files:
    for role in roles:
        admin.act(f"rotate {role}", SOON_US)
    return dict(admin.files)


def _one_old_signature(admin: Administrator) -> Files:
    files = dict(admin.files)
    root = _newest(files)
    signed = sign_with(_next(root), _signers(admin, root)[:1])
    return {**files, "2.root.json": signed}


def _signed_by_strangers(admin: Administrator) -> Files:
    """New keys sign for themselves; none of the old ones agreed."""
    root = _newest(dict(admin.files))
    set_role(root, "root", [holder.pair for holder in _strangers(3)], 2)
    return {**admin.files, "2.root.json": sign_with(_next(root), _strangers(3))}


def _one_new_signature(admin: Administrator) -> Files:
    """The old keys hand over, but only one of two needed new ones signs."""
    root = _newest(dict(admin.files))
    old = _signers(admin, root)
    set_role(root, "root", [holder.pair for holder in _strangers(3)], 2)
    return {**admin.files, "2.root.json": sign_with(_next(root), [*old, *_strangers(1)])}


def _one_signature_twice(admin: Administrator) -> Files:
    root = _newest(dict(admin.files))
    one = _signers(admin, root)[0]
    return {**admin.files, "2.root.json": sign_with(_next(root), [one, one])}


def _lowered_threshold(admin: Administrator) -> Files:
    """One old key alone declares that one is enough."""
    root = _newest(dict(admin.files))
    one = _signers(admin, root)[:1]
    root.roles["root"].threshold = 1
    return {**admin.files, "2.root.json": sign_with(_next(root), one)}


def _skipped_version(admin: Administrator) -> Files:
    root = _newest(dict(admin.files))
    signers = _signers(admin, root)
    return {**admin.files, "2.root.json": sign_with(_next(root, by=2), signers)}


def _gap(admin: Administrator) -> Files:
    files = _rotated(admin, "root", "root")
    del files["2.root.json"]
    return files


def _other_first_root(admin: Administrator) -> Files:
    root = _newest(dict(admin.files))
    signers = _signers(admin, root)
    root.expires = utc_time(NOW_US + 9 * DAY_US)
    return {**admin.files, "1.root.json": sign_with(root, signers)}


def _first_root_of_a_stranger(admin: Administrator) -> Files:
    stranger = Administrator(admin.place.with_name("stranger"), seed=1)
    return {**admin.files, "1.root.json": stranger.files["1.root.json"]}


def _expired_last(admin: Administrator) -> Files:
    root = _newest(dict(admin.files))
    signers = _signers(admin, root)
    root.expires = utc_time(NOW_US)
    return {**admin.files, "2.root.json": sign_with(_next(root), signers)}


def _expired_between(admin: Administrator) -> Files:
    files = _expired_last(admin)
    root = _newest(files)
    signers = _signers(admin, root)
    root.expires = utc_time(NOW_US + 99 * DAY_US)
    return {**files, "3.root.json": sign_with(_next(root), signers)}


def _small_order_key(admin: Administrator) -> Files:
    root = _newest(dict(admin.files))
    signers = _signers(admin, root)
    root.add_key(tuf_key(b"\x01" + bytes(31)), "targets")
    return {**admin.files, "2.root.json": sign_with(_next(root), signers)}


CASES: dict[str, tuple[Callable[[Administrator], Files], str | None, int]] = {
    "no rotation": (lambda a: dict(a.files), None, 1),
    "new root keys": (lambda a: _rotated(a, "root"), None, 2),
    "new root keys twice, both at once": (lambda a: _rotated(a, "root", "root"), None, 3),
    "new targets keys": (lambda a: _rotated(a, "targets"), None, 2),
    "new snapshot key": (lambda a: _rotated(a, "snapshot"), None, 2),
    "new timestamp key": (lambda a: _rotated(a, "timestamp"), None, 2),
    "new keys for everyone, four roots at once": (
        lambda a: _rotated(a, "root", "targets", "snapshot", "timestamp"),
        None,
        5,
    ),
    "an expired root between good ones": (_expired_between, None, 3),
    "an expired root at the end": (_expired_last, "TRUST_EXPIRED", 2),
    "too few of the old keys": (_one_old_signature, "TRUST_UNSIGNED", 1),
    "none of the old keys": (_signed_by_strangers, "TRUST_UNSIGNED", 1),
    "too few of the new keys": (_one_new_signature, "TRUST_UNSIGNED", 1),
    "one old key signing twice": (_one_signature_twice, "TRUST_UNSIGNED", 1),
    "one old key lowering the threshold": (_lowered_threshold, "TRUST_UNSIGNED", 1),
    "a version skipped inside the file": (_skipped_version, "TRUST_ROLLBACK", 1),
    "a root missing in the middle": (_gap, "TRUST_UNSIGNED", 1),
    "another root of the pinned version": (_other_first_root, "TRUST_EQUIVOCATION", 1),
    "a stranger's root of the pinned version": (_first_root_of_a_stranger, "TRUST_UNSIGNED", 1),
    "a key that verifies anything": (_small_order_key, "TRUST_MALFORMED", 1),
}


@pytest.mark.parametrize(("make", "code", "version"), CASES.values(), ids=CASES.keys())
def test_g14_roots(make: Callable[[Administrator], Files], code: str | None, version: int, tmp_path: Path) -> None:
    admin = Administrator(tmp_path / "root")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    files = make(admin)
    if make is _gap:
        files |= admin.act("rotate timestamp", SOON_US).files
        del files["2.root.json"]
    result = store.update(files, SOON_US)
    assert (result.code, result.trust.root_version) == (code, version)
    assert result.roots_added == version - 1
    assert store.load(SOON_US).root_version == version


def test_a_new_root_is_kept_even_if_the_rest_is_withheld(tmp_path: Path) -> None:
    """A thief who holds back what follows must not keep his stolen key alive by it."""
    admin = Administrator(tmp_path / "root")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    stolen = dict(admin.act("renew", SOON_US).files)
    files = admin.act("rotate timestamp", SOON_US).files
    result = store.update({"2.root.json": files["2.root.json"]}, SOON_US)
    assert (result.code, result.roots_added, result.trust.state(SOON_US)) == ("TRUST_UNSIGNED", 1, "stale")
    assert result.trust.version == 1
    assert store.update(stolen, SOON_US).code == "TRUST_UNSIGNED"
    again = store.load(SOON_US)
    assert (again.root_version, again.superseded, again.version) == (2, True, 1)
    assert store.update(files, SOON_US).trust.state(SOON_US) == "ok"


def test_a_replaced_timestamp_key_undoes_a_thiefs_highest_version(tmp_path: Path) -> None:
    """Versions signed by a revoked key bind nobody (fast-forward recovery, specification 5.3.11)."""
    admin = Administrator(tmp_path / "root")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    root = _newest(dict(admin.files))
    thief = Sitting(admin.place, root, _targets(admin), admin.unlock, admin.policy, SOON_US)
    assert store.update({**admin.files, **thief.timestamp(admin.files, version=2**31)}, SOON_US).changed
    assert store.update(admin.act("renew", SOON_US).files, SOON_US).code == "TRUST_ROLLBACK"
    assert store.update(admin.act("rotate timestamp", SOON_US).files, SOON_US).code is None


def test_a_damaged_later_root_is_reported_and_fetched_again(tmp_path: Path) -> None:
    admin = Administrator(tmp_path / "root")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    store.update(admin.act("rotate root", SOON_US).files, SOON_US)
    (tmp_path / "home" / "trust" / "roots" / "2.root.json").write_bytes(b"rot")
    trust = store.load(SOON_US)
    assert (trust.root_version, trust.damaged) == (1, ("2.root.json",))
    assert store.update(admin.files, SOON_US).trust.root_version == 2
    assert store.load(SOON_US).damaged == ()


def test_an_office_enrolled_later_starts_from_a_later_root(tmp_path: Path) -> None:
    admin = Administrator(tmp_path / "root", policy=replace(SMALL, root_keys=2))
    admin.act("rotate root", SOON_US)
    pinned = admin.files["2.root.json"]
    store = TrustStore.install(tmp_path / "home", admin.files, SOON_US, root=pinned)
    trust = store.update(admin.act("rotate root", SOON_US).files, SOON_US).trust
    assert (trust.root_version, store.load(SOON_US).root_version) == (3, 3)
    assert trust.root_fingerprint == root_fingerprint(admin.files["3.root.json"])
    assert "1.root.json" not in store.publishable_files()
