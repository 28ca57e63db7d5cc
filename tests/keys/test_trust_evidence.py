"""Evidence: a bundled chain of trust, checked without network, clock or home."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.trust import TrustError, root_fingerprint, verify_roster
from keys.trust.metadata import CURRENT_FILES
from tests.keys.networks import NOW_US, Administrator

SOON_US = NOW_US + 1_000_000


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "root")


def test_evidence_is_checked_against_a_root_file_or_its_fingerprint(admin: Administrator, tmp_path: Path) -> None:
    first = admin.files["1.root.json"]
    admin.act("rotate root", SOON_US)
    files = admin.act("publish", SOON_US).files
    for anchor in (
        first,
        files["2.root.json"],
        root_fingerprint(first),
        root_fingerprint(files["2.root.json"]).upper(),
    ):
        assert verify_roster(files, anchor).encode() == admin.network.directory.encode()
    assert verify_roster(files, first).root_fingerprint == root_fingerprint(first)
    stranger = Administrator(tmp_path / "other", seed=1)
    with pytest.raises(TrustError, match="TRUST_FOREIGN"):
        verify_roster(files, stranger.network.root_fingerprint)
    with pytest.raises(TrustError, match=r"TRUST_EQUIVOCATION|TRUST_UNSIGNED"):
        verify_roster(files, stranger.files["1.root.json"])


def test_the_fingerprint_is_of_the_root_keys_and_nothing_else(admin: Administrator, tmp_path: Path) -> None:
    first = root_fingerprint(admin.files["1.root.json"])
    admin.act("rotate timestamp", SOON_US)
    assert root_fingerprint(admin.files["2.root.json"]) == first
    admin.act("rotate root", SOON_US)
    assert root_fingerprint(admin.files["3.root.json"]) != first
    assert Administrator(tmp_path / "other", seed=1).network.root_fingerprint != first


@settings(max_examples=60)
@given(data=st.data())
def test_g14_any_changed_byte_of_any_file_is_refused(shared: dict[str, bytes], data: st.DataObject) -> None:
    """Signatures of keys beyond the threshold are the one thing that may differ; here there are none."""
    name = data.draw(st.sampled_from(["1.root.json", *CURRENT_FILES]))
    whole = bytearray(shared[name])
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    anchor = root_fingerprint(shared["1.root.json"])
    with pytest.raises(TrustError):
        verify_roster({**shared, name: bytes(whole)}, anchor)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return dict(Administrator(tmp_path_factory.mktemp("shared") / "root").files)
