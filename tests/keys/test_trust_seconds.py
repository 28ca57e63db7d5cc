"""Second signatures: whoever breaks one of the two algorithms gets nowhere; and what a root must say of its holders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata, Root, Targets

from keys.mldsa import SecondKey
from keys.trust import TrustError, TrustStore, root_fingerprint, verify_roster
from keys.trust.metadata import HOLDERS_FIELD, encode, pairs_of, parse, purpose_of, second_id, tuf_key
from tests.keys.networks import NOW_US, Administrator, key_of
from tests.keys.test_trust_roots import SOON_US, _newest, _signers

Files = dict[str, bytes]
Edit = Callable[[Administrator, Metadata[Any]], None]


def without_seconds(_admin: Administrator, metadata: Metadata[Any]) -> None:
    """What a forger makes who has broken Ed25519."""
    for id_, one in list(metadata.signatures.items()):
        if len(one.signature) > 128:
            del metadata.signatures[id_]


def one_second_short(_admin: Administrator, metadata: Metadata[Any]) -> None:
    ids = [id_ for id_, one in metadata.signatures.items() if len(one.signature) > 128]
    del metadata.signatures[ids[0]]


def seconds_of_another_role(admin: Administrator, metadata: Metadata[Any]) -> None:
    """Real keys, the wrong purpose: a signature for a root is none for targets, and the other way round."""
    role = metadata.signed.type
    other = "targets" if role == "root" else "root"
    for holder in _signers(admin, _newest(dict(admin.files)), role):
        assert holder.second is not None
        id_ = second_id(holder.second.public())
        signature = holder.second.sign(purpose_of(other), metadata.signed_bytes).hex()
        metadata.signatures[id_] = Signature(id_, signature)


def seconds_of_strangers(_admin: Administrator, metadata: Metadata[Any]) -> None:
    without_seconds(_admin, metadata)
    for number in (1, 2, 3):
        key = SecondKey.from_seed(bytes([number]) * 32)
        id_ = second_id(key.public())
        metadata.signatures[id_] = Signature(
            id_, key.sign(purpose_of(metadata.signed.type), metadata.signed_bytes).hex()
        )


def without_firsts(_admin: Administrator, metadata: Metadata[Any]) -> None:
    """What a forger makes who has broken ML-DSA, or its implementation."""
    for id_, one in list(metadata.signatures.items()):
        if len(one.signature) == 128:
            del metadata.signatures[id_]


def halves_of_different_holders(admin: Administrator, metadata: Metadata[Any]) -> None:
    """Two of three holders must sign; the first half of one and the second of another are nobody's signature."""
    by_holder = [
        (tuf_key(pair.first).keyid, second_id(pair.second))
        for pair in pairs_of(_newest(dict(admin.files))).values()
        if pair.label.startswith(metadata.signed.type)
    ]
    there = [halves for halves in by_holder if halves[0] in metadata.signatures]
    del metadata.signatures[there[0][1]]


EDITS: tuple[Edit, ...] = (
    without_seconds, one_second_short, seconds_of_another_role, seconds_of_strangers, without_firsts,
    halves_of_different_holders,
)  # fmt: skip


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "root")


def _edited(admin: Administrator, data: bytes, kind: Any, edit: Edit) -> bytes:
    metadata = parse(kind, data, "edited")
    edit(admin, metadata)
    return encode(metadata)


@pytest.mark.parametrize("edit", EDITS)
def test_g10_a_next_root_takes_both_halves_of_enough_holders(admin: Administrator, edit: Edit, tmp_path: Path) -> None:
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    files = dict(admin.act("rotate timestamp", SOON_US).files)
    bent = _edited(admin, files["2.root.json"], Root, edit)
    result = store.update({**files, "2.root.json": bent}, SOON_US)
    assert (result.code, result.trust.root_version) == ("TRUST_UNSIGNED", 1)
    assert store.update(files, SOON_US).trust.root_version == 2


@pytest.mark.parametrize("edit", EDITS)
def test_g10_a_directory_takes_both_halves_of_enough_holders(admin: Administrator, edit: Edit, tmp_path: Path) -> None:
    """Also when whoever forges has stolen the online keys, and describes the forged file rightly."""
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    files = dict(admin.act("publish", SOON_US).files)
    files["targets.json"] = _edited(admin, files["targets.json"], Targets, edit)
    from tests.keys.test_trust import _resign

    result = store.update(_resign(admin, files), SOON_US)
    assert (result.code, result.trust.version) == ("TRUST_UNSIGNED", 1)


@pytest.mark.parametrize("edit", EDITS)
def test_g10_a_first_root_takes_both_halves_of_enough_holders(admin: Administrator, edit: Edit, tmp_path: Path) -> None:
    bent = _edited(admin, admin.files["1.root.json"], Root, edit)
    for check in (
        lambda: TrustStore.install(tmp_path / "home", {**admin.files, "1.root.json": bent}, NOW_US),
        lambda: verify_roster({**admin.files, "1.root.json": bent}, root_fingerprint(admin.files["1.root.json"])),
    ):
        with pytest.raises(TrustError, match="TRUST_UNSIGNED"):
            check()


def _no_field(held: dict[str, Any]) -> dict[str, Any] | None:
    return None


def _one_missing(held: dict[str, Any]) -> dict[str, Any]:
    return dict(list(held.items())[1:])


def _one_key_for_two(held: dict[str, Any]) -> dict[str, Any]:
    """Or one thief's second half would count twice."""
    second = next(iter(held.values()))["mldsa65"]
    return {id_: {**one, "mldsa65": second} for id_, one in held.items()}


def _one_label_for_two(held: dict[str, Any]) -> dict[str, Any]:
    return {id_: {**one, "label": "root-1"} for id_, one in held.items()}


def _stranger(held: dict[str, Any]) -> dict[str, Any]:
    pair = {"label": "root-9", "mldsa65": SecondKey.from_seed(bytes(32)).public().hex()}
    return {**held, tuf_key(key_of(77).public()).keyid: pair}


def _short(held: dict[str, Any]) -> dict[str, Any]:
    return {id_: {**one, "mldsa65": one["mldsa65"][2:]} for id_, one in held.items()}


def _capitals(held: dict[str, Any]) -> dict[str, Any]:
    return {id_: {**one, "mldsa65": one["mldsa65"].upper()} for id_, one in held.items()}


def _odd_label(held: dict[str, Any]) -> dict[str, Any]:
    return {id_: {**one, "label": one["label"] + "\n"} for id_, one in held.items()}


def _more(held: dict[str, Any]) -> dict[str, Any]:
    return {id_: {**one, "note": "x"} for id_, one in held.items()}


def _list(held: dict[str, Any]) -> list[Any]:
    return list(held.items())


@pytest.mark.parametrize(
    "change",
    [
        _no_field,
        _one_missing,
        _one_key_for_two,
        _one_label_for_two,
        _stranger,
        _short,
        _capitals,
        _odd_label,
        _more,
        _list,
    ],
)
def test_a_root_names_one_second_half_for_each_holder(
    admin: Administrator, change: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    """Signed by all holders, and still nobody takes it: there is nothing to fall back to."""
    root = _newest(dict(admin.files))
    holders = _signers(admin, root)
    held: Any = root.unrecognized_fields.pop(HOLDERS_FIELD)
    changed = change(held)
    if changed is not None:
        root.unrecognized_fields[HOLDERS_FIELD] = changed
    root.version += 1
    metadata: Metadata[Root] = Metadata(root)
    for holder in holders:
        holder.sign(metadata, "root")
    store = TrustStore.install(tmp_path / "home", admin.files, NOW_US)
    result = store.update({**admin.files, "2.root.json": encode(metadata)}, SOON_US)
    assert (result.code, result.trust.root_version) == ("TRUST_MALFORMED", 1)


def test_the_fingerprint_is_of_both_halves(admin: Administrator) -> None:
    """Or a forger of Ed25519 could make another root that is read out the same."""
    root = _newest(dict(admin.files))
    before = root_fingerprint(admin.files["1.root.json"])
    held: Any = root.unrecognized_fields[HOLDERS_FIELD]
    held[root.roles["root"].keyids[0]]["mldsa65"] = SecondKey.from_seed(bytes(32)).public().hex()
    assert root_fingerprint(encode(Metadata(root))) != before
